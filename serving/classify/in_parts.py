"""`rasd classify INPUT -o OUT`: labels into parts that outlive a crash; says what was done."""

import argparse
import dataclasses
import json
import sys
from functools import partial
from pathlib import Path

from serving.archive.cache import CAPACITY
from serving.archive.labeller import Job
from serving.archive.limit import Limit
from serving.archive.outputs import output_format
from serving.archive.parts import rejected_file
from serving.archive.run import Archive, Engine, here
from serving.classifier import Classifier
from serving.classify.output import parts_folder
from serving.errors import InputError
from serving.files.documents import DocumentStream
from serving.files.sources import Source
from serving.terminal import counted, tell, tell_notes


def run_in_parts(
    options: argparse.Namespace,
    documents: DocumentStream,
    output: Path,
    form: str,
    *,
    in_parts: bool,
) -> int:
    """Label into parts that outlive a crash, and report what was done."""
    classifier = Classifier.load(options.model, threads=options.threads)
    cache = CAPACITY if options.cache is None else options.cache
    folder = parts_folder(output, in_parts=in_parts)
    settings = {
        "format": "raw csv" if options.raw_csv else form,
        "partition_by": options.partition_by,
        **dataclasses.asdict(documents.options),
        "carry": list(documents.options.carry),
    }
    written = output_format(
        form,
        carry=documents.options.carry,
        labels=classifier.bundle.scheme.names,
        about={"rasd.model": classifier.model, "rasd.options": json.dumps(settings)},
        partition_by=options.partition_by,
        raw_csv=options.raw_csv,
    )
    run = Archive(
        job=Job(documents.options, folder, written, cache, options.strict),
        sources=documents.sources,
        identity={
            "input": [_identity(source) for source in documents.sources],
            "options": settings,
            "model": classifier.model,
        },
        limit=options.max_rejected or Limit(),
        restart=options.restart,
        target=None if in_parts else output,
    )
    engine: Engine = here
    if options.ray_address and options.engine != "ray":
        raise InputError("--ray-address needs --engine ray", "Add --engine ray.")
    if options.engine == "ray":
        from serving.archive.ray_engine import on_ray  # an extra

        engine = partial(on_ray, address=options.ray_address)
    total = run.run(classifier, engine, progress_visible=sys.stderr.isatty())
    if not total.sentences:
        tell("no text in the input, so nothing was labelled")
    tell_notes(total.notes)
    if total.repeats:
        repeats = counted(total.repeats, "repeat")
        tell(f"{repeats} among {total.sentences:,} sentences, not scored again")
    if total.rejected:
        problem, _ = total.rejection or ("", "")
        records = counted(total.records, "record")
        tell(f"set aside {total.rejected:,} of {records}; the first: {problem}")
        tell(f"{rejected_file(output)} has them all")
    if total.sentences:
        sentences = counted(total.sentences, "sentence")
        tell(f"{options.output}: {sentences}, labelled by {classifier.model}")
    return 0


def _identity(source: Source) -> list[str | int]:
    """Return what differs when a file has been changed, or is read as another format."""
    return [source.name, source.kind or "", *source.state]
