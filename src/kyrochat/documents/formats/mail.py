"""E-mails (EML): who wrote to whom and when, the text, and the names of what was attached."""

from collections.abc import Iterator, Sequence
from email import policy
from email.message import EmailMessage, MIMEPart
from email.parser import BytesParser
from itertools import islice

from kyrochat.documents.decoding import decode, normalise, to_utf8
from kyrochat.documents.extracted import Extracted, bounded
from kyrochat.documents.formats import markdown
from kyrochat.documents.formats.visible_text import visible_text
from kyrochat.errors import UnreadableDocument

_SHOWN = ("From", "To", "Cc", "Date")
_MAX_DEPTH = 5  # of mails that are attached to mails
_MAX_HEADER_CHARS = 2_000  # reading one takes time that grows with the square of its length
_MAX_PARTS = 1_000
_MAX_NAME_CHARS = 200


def parse_mail(data: bytes) -> Extracted:
    """Read a mail and the mails attached to it; its subject is the title. Other attachments are named, not read.

    Raises:
        TooMuchText: it has more than `MAX_CHARS` characters.
    """
    mail = BytesParser(EmailMessage, policy=policy.default).parsebytes(data)
    text = normalise(markdown.blocks(bounded(_mail(mail, 0))))
    return Extracted(text, markdown=True, title=_header(mail, "Subject")[: markdown.MAX_HEADING_CHARS] or None)


def _mail(mail: MIMEPart, depth: int) -> Iterator[str]:
    yield markdown.heading(depth + 1, _header(mail, "Subject"))
    shown = ((name, _header(mail, name)) for name in _SHOWN)
    yield markdown.plain("\n".join(f"{name}: {value}" for name, value in shown if value))
    parts = list(islice(_leaves(mail), _MAX_PARTS))
    texts = [part for part in parts if not _is_attached(part)]
    yield _body([part for part in texts if part.get_content_type() == "text/plain"]) or _body(
        [part for part in texts if part.get_content_type() == "text/html"]
    )
    names = [_name(part) for part in parts]
    if any(names):
        yield markdown.plain("Attachments: " + ", ".join(filter(None, names)))
    for part in parts:
        if part.get_content_type() == "message/rfc822" and depth < _MAX_DEPTH:
            for inner in part.iter_parts():
                yield from _mail(inner, depth + 1)


def _leaves(mail: MIMEPart) -> Iterator[MIMEPart]:
    """Yield what a mail is made of, in order; a mail inside stays whole. No recursion: nesting is the file's choice."""
    waiting: list[MIMEPart] = [mail]
    while waiting:
        part = waiting.pop()
        if part.get_content_maintype() == "multipart" and part.is_multipart():
            waiting += reversed(list(part.iter_parts()))
        else:
            yield part


def _is_attached(part: MIMEPart) -> bool:
    return _header(part, "Content-Disposition").lower().startswith("attachment")


def _body(parts: Sequence[MIMEPart]) -> str:
    return "\n\n".join(text for part in parts if (text := _text(part)))


def _text(part: MIMEPart) -> str:
    payload = part.get_payload(decode=True)
    if not isinstance(payload, bytes) or not payload:
        return ""
    is_html = part.get_content_type() == "text/html"
    try:
        text = normalise(decode(to_utf8(payload, part.get_content_charset()), html=is_html))
    except UnreadableDocument:  # binary data that says it is text: the rest of the mail still stands
        return ""
    return visible_text(text).text if is_html else markdown.plain(text.strip())


def _name(part: MIMEPart) -> str:
    try:
        return markdown.one_line(part.get_filename() or "")[:_MAX_NAME_CHARS]
    except (ValueError, LookupError, AttributeError, TypeError):  # the standard library's parser has its gaps
        return ""


def _header(mail: MIMEPart, name: str) -> str:
    raw = next((str(value) for key, value in mail.raw_items() if key.lower() == name.lower()), "")
    raw = " ".join(raw.splitlines())[:_MAX_HEADER_CHARS]
    try:
        value = str(policy.default.header_factory(name, raw))
    except (ValueError, LookupError, AttributeError, TypeError):
        value = raw
    return markdown.one_line(normalise(value))
