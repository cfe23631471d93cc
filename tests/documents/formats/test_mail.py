import pytest

from kyrochat.documents.formats.mail import parse_mail

HEAD = b"From: Ada <ada@example.com>\nSubject: Bees\n"


@pytest.mark.parametrize(
    ("mail", "text"),
    [
        (HEAD + b"\nHello\n", "# Bees\n\nFrom: Ada <ada@example.com>\n\nHello"),
        (
            HEAD + b"Content-Type: text/plain; charset=koi8-r\n\n" + "Пчёлы".encode("koi8-r"),
            "# Bees\n\nFrom: Ada <ada@example.com>\n\nПчёлы",
        ),
        (
            HEAD + b"Content-Type: text/plain; charset=x-unknown\n\n" + "Müller und Söhne".encode("cp1252"),
            "# Bees\n\nFrom: Ada <ada@example.com>\n\nMüller und Söhne",
        ),
        (
            HEAD + b"Content-Type: text/html\n\n<p>Hi</p><script>x()</script>",
            "# Bees\n\nFrom: Ada <ada@example.com>\n\nHi",
        ),
        (HEAD + b"\n# no heading\n", "# Bees\n\nFrom: Ada <ada@example.com>\n\n    # no heading"),
        (
            HEAD + b'Content-Type: application/pdf\nContent-Disposition: attachment; filename="b  c.pdf"\n\n%PDF',
            "# Bees\n\nFrom: Ada <ada@example.com>\n\nAttachments: b c.pdf",
        ),
        (b"Subject: =?utf-8?b?QmllbmVu?= =?koi8-r?q?=F0?=\nFrom: =?bad\n\nx", "# BienenП\n\nFrom: =?bad\n\nx"),
        (b"Subject: Bees\nDate: no date\nFrom: Ada\n\nx", "# Bees\n\nFrom: Ada\nDate: no date\n\nx"),
    ],
)
def test_a_mail_is_read_with_who_wrote_it(mail: bytes, text: str) -> None:
    assert parse_mail(mail).text == text


def test_of_two_texts_the_plain_one_is_read_unless_it_is_blank() -> None:
    def both(plain: bytes) -> bytes:
        return (
            HEAD + b"Content-Type: multipart/alternative; boundary=b\n\n--b\nContent-Type: text/plain\n\n" + plain
            + b"\n--b\nContent-Type: text/html\n\n<p>In HTML</p>\n--b--\n"
        )  # fmt: skip

    assert parse_mail(both(b"In plain")).text.endswith("\n\nIn plain")
    assert parse_mail(both(b" ")).text.endswith("\n\nIn HTML")
