"""Analysts' corrections: kept in a database, taken over HTTP, given back as a labelled file."""

from serving.feedback.routes import router
from serving.feedback.store import FeedbackStore, open_store

__all__ = ["FeedbackStore", "open_store", "router"]
