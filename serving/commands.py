"""The verbs of the serving room; each imports its work only when it runs."""

import argparse

from serving.classify import command as classify
from serving.registry import command as models
from serving.report import command as report
from serving.service import command, feedback_export


def register(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add classify, report, serve, feedback and models."""
    classify.add_parser(subparsers)
    report.add_parser(subparsers)
    command.add_parser(subparsers)
    feedback_export.add_parser(subparsers)
    models.add_parser(subparsers)
