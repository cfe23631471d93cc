"""From bytes of unknown encoding to text that every part of the server can store, index and quote."""

import codecs
import re
import unicodedata

from kyrochat.errors import UnreadableDocument

_BOMS = (  # the longer first: UTF-32's little-endian mark starts with UTF-16's
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)

# What files without Unicode are really written in. Guessing among all 90 codecs of Python takes a
# French cp1252 text for cp1250 and an English one for cp850.
_LEGACY = (
    "cp1252", "cp1250", "cp1251", "koi8_r", "cp1253", "cp1254", "cp1255", "cp1256",
    "iso8859_2", "cp874", "cp932", "euc_jp", "gb18030", "big5", "cp949",
)  # fmt: skip

# Names in HTML that browsers read as a superset: pages that claim Latin-1 hold cp1252's quotes.
_DECLARED = {
    "ascii": "cp1252",
    "iso8859-1": "cp1252",
    "iso8859-9": "cp1254",
    "iso8859-11": "cp874",
    "tis-620": "cp874",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "shift_jis": "cp932",
    "euc_kr": "cp949",
    "big5": "big5hkscs",
}
_ALLOWED_DECLARED = (
    frozenset(_LEGACY)
    | frozenset(_DECLARED.values())
    | frozenset(["utf-8", "cp866", "koi8-u", "cp1257", "cp1258", "mac-roman", "mac-cyrillic", "iso2022_jp"])
    | frozenset(f"iso8859-{part}" for part in range(2, 17))
)
_META_CHARSET = re.compile(
    rb"""(?:<meta[^>]{0,300}?charset|<\?xml[^>]{0,100}?encoding)\s{0,9}=\s{0,9}["']?([\w.:-]{1,40})""", re.I
)
_META_WITHIN_BYTES = 4096

_SAMPLE_BYTES = 64 * 1024  # guessing needs no more, and takes 60 ms per MiB
_FEW_CONTROLS = 4  # a stray NUL in a short text is cleaned away
_BINARY_SHARE = 0.03  # random bytes: 0.09; a log full of colour codes: 0 (ESC does not count)
_CONTROLS = re.compile(r"[\x00-\x06\x0e-\x1a\x1c-\x1f]")

_REMOVED = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\ufeff\ud800-\udfff]+")
_LINE_ENDS = re.compile("\r\n|[\r\x0b\x0c\x85\u2028\u2029]")
_MANY_NEWLINES = re.compile("\n{4,}")


def decode(data: bytes, *, html: bool = False) -> str:
    """Return the text of `data`, in whatever encoding it is; with `html` its declared charset is heard.

    Order: byte order mark, strict UTF-8, UTF-16 by its pattern of zeros, the declared charset, a guess.

    Raises:
        UnreadableDocument: the result is binary data rather than text.
    """
    text = _decode(data, html=html)
    if looks_binary(text):
        raise UnreadableDocument("The file holds binary data, not text; save it as plain text and upload that.")
    return text


def to_utf8(data: bytes, charset: str | None) -> bytes:
    """Return text in UTF-8 that was served in `charset`; what is Unicode already, or no charset we know, stays.

    The header of an answer goes before what the text says of itself, but not before a byte order mark or valid UTF-8:
    servers that claim Latin-1 for everything are many.
    """
    codec = _allowed_codec(charset) if charset else None
    if codec in (None, "utf-8") or _from_bom(data[:4]) is not None or _wide_codec(data):
        return data
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode(codec, errors="replace").encode("utf-8")
    return data


def decode_head(head: bytes) -> str:
    """Return a rough reading of a file's start, to recognise its kind by; ASCII in it is right."""
    bom = _from_bom(head)
    if bom is not None:
        return bom
    wide = _wide_codec(head)
    return head.decode(wide or "latin-1", errors="replace")


def looks_binary(text: str) -> bool:
    """Return whether control characters are too frequent for a text."""
    return len(_CONTROLS.findall(text)) > max(_FEW_CONTROLS, _BINARY_SHARE * len(text))


def normalise(text: str) -> str:
    """Return `text` as it is stored: NFC, `\\n` line ends, nothing that PostgreSQL refuses.

    Controls (but tab and newline), lone surrogates and byte order marks are gone, lines end without
    blanks, and no more than three newlines stand in a row. Doing it twice changes nothing.
    """
    text = _LINE_ENDS.sub("\n", text)
    text = unicodedata.normalize("NFC", _REMOVED.sub("", text))
    # By lines rather than by a pattern: `[ \t]+$` takes quadratic time on a long run of blanks.
    text = "\n".join(line.rstrip(" \t") for line in text.split("\n"))
    return _MANY_NEWLINES.sub("\n\n\n", text).strip("\n")


def _decode(data: bytes, *, html: bool) -> str:
    marked = _from_bom(data)
    if marked is not None:
        return marked
    wide = _wide_codec(data)
    if wide:
        return data.decode(wide, errors="replace")
    if b"\x1b$" in data and data.isascii():  # ISO-2022-JP is seven-bit: as UTF-8 it "works"
        try:
            return data.decode("iso2022_jp")
        except UnicodeDecodeError:
            pass
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        pass
    declared = _declared_codec(data) if html else None
    if declared and declared != "utf-8":
        return data.decode(declared, errors="replace")
    return _damaged_utf8(data) or data.decode(_guess(data), errors="replace")


def _from_bom(data: bytes) -> str | None:
    for mark, codec in _BOMS:
        if data.startswith(mark):
            if codec == "utf-8":
                return data[len(mark) :].decode("utf-8", errors="replace")
            if codec.startswith("utf-32") and len(data) % 4:
                continue
            return data[len(mark) :].decode(codec, errors="replace")
    return None


def _wide_codec(data: bytes) -> str | None:
    """Return the UTF-16 codec of unmarked data: its zeros all lie on one side of the pairs."""
    sample = data[:_SAMPLE_BYTES]
    sample = sample[: len(sample) // 2 * 2]
    even, odd = sample[0::2].count(0), sample[1::2].count(0)
    if max(even, odd) < 0.05 * (len(sample) // 2) or max(even, odd) < 2 or min(even, odd) > 0.02 * max(even, odd):
        return None
    codec = "utf-16-le" if odd > even else "utf-16-be"
    text = sample.decode(codec, errors="replace")
    strange = text.count("\ufffd") + len(_CONTROLS.findall(text))
    return codec if strange <= 0.01 * len(text) + 1 else None


def _declared_codec(data: bytes) -> str | None:
    found = _META_CHARSET.search(data, 0, _META_WITHIN_BYTES)
    return None if found is None else _allowed_codec(found[1].decode("ascii", errors="replace"))


def _allowed_codec(charset: str) -> str | None:
    try:
        name = codecs.lookup(charset).name
    except (LookupError, ValueError):
        return None
    name = _DECLARED.get(name, name)
    return name if name in _ALLOWED_DECLARED else None


def _damaged_utf8(data: bytes) -> str | None:
    """Return UTF-8 with a few broken spots (a cut file, a stray byte), or None if it never was UTF-8."""
    text = data.decode("utf-8", errors="replace")
    broken = text.count("\ufffd") - data.count(b"\xef\xbf\xbd")
    whole = sum(map(data.count, (b"\xc2", b"\xc3", b"\xd0", b"\xd1", b"\xe2", b"\xe3", b"\xe4", b"\xe5")))
    beyond_ascii = len(text) - broken - len(text.encode("ascii", errors="ignore"))
    return text if whole and beyond_ascii >= 4 * broken else None


def _guess(data: bytes) -> str:
    from charset_normalizer import from_bytes  # late: most texts are UTF-8 and never need it

    matches = list(from_bytes(data[:_SAMPLE_BYTES], cp_isolation=list(_LEGACY)))
    if not matches:
        return "cp1252"
    best = matches[0]
    for match in matches:
        # cp1250 and cp1252 share most letters of German and French; where nothing speaks for
        # Central Europe, the one that ten times as many files are in is the better bet.
        if match.encoding == "cp1252" and match.coherence >= best.coherence and match.chaos <= best.chaos:
            return "cp1252"
    return str(best.encoding)
