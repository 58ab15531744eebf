"""What a model's answers looked like on its held-out sentences: the reference for `rasd drift`."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

_Count = Annotated[int, Field(ge=0)]

CONFIDENCE_BINS = 20
TOKEN_BUCKETS = 512


class Reference(BaseModel):
    """Counts of sentences and of tokens.

    `labels`: sentences by predicted label, in the scheme's order. `confidence`: sentences by the
    probability of that label, in equal bins from 0 to 1. `uncertain`: sentences that are not
    certain. `unknown`: tokens that the vocabulary lacks. `tokens`: tokens by id modulo the number
    of buckets, so that frequent tokens, which have low ids, rarely share one.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    labels: tuple[_Count, ...] = Field(min_length=2)
    confidence: tuple[_Count, ...] = Field(min_length=CONFIDENCE_BINS, max_length=CONFIDENCE_BINS)
    uncertain: _Count
    unknown: _Count
    tokens: tuple[_Count, ...] = Field(min_length=TOKEN_BUCKETS, max_length=TOKEN_BUCKETS)
