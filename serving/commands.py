"""The verbs of the serving room; each imports its work only when it runs."""

import argparse

from serving import classify
from serving.service import command, feedback_export


def register(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add classify, serve and feedback."""
    classify.add_parser(subparsers)
    command.add_parser(subparsers)
    feedback_export.add_parser(subparsers)
