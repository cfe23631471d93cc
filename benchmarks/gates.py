"""What retrieval must reach without any key, and what it may: nDCG@10 by collection."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Gate:
    """Below `floor` is a failure; `stretch` is what to aim at, None where nobody knows."""

    floor: float
    stretch: float | None = None


LEXICAL = {
    "scifact": Gate(0.695, 0.715),
    "chunk-eval": Gate(0.800, 0.820),
    "xquad-en": Gate(0.968, 0.978),
    "xquad-de": Gate(0.930),
    "xquad-es": Gate(0.958),
    "xquad-ru": Gate(0.940),
    "xquad-zh": Gate(0.935),
    "xquad-ar": Gate(0.926),
}
FUSED = {
    "scifact": Gate(0.730, 0.745),
    "chunk-eval": Gate(0.805, 0.830),
    "xquad-en": Gate(0.978, 0.985),
}
