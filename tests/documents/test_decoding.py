import codecs

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kyrochat.documents.decoding import decode, looks_binary, normalise
from kyrochat.errors import UnreadableDocument

GERMAN = "Die Bienen fliegen über die grünen Hügel; das Wetter ist schön, aber kühl. "
FRENCH = "Les abeilles récoltent le nectar des fleurs à l'été; où êtes-vous, où étiez-vous? "
ENGLISH = "The café’s “house honey” costs €5 – a fair price. "
SPANISH = "Las abejas recogen el néctar; ¿dónde está la colmena del señor Muñoz? Mañana será otro día. "
DANISH = "Bierne samler nektar på de røde blomster; æbletræet står ved åen. "
POLISH = "Pszczoły zbierają nektar z kwiatów; żółte słońce świeci nad łąką, gdzieś już ćwierkają ptaki. "
CZECH = "Včely sbírají nektar z květů; žluté slunce svítí nad loukou a ptáci zpívají, že je už léto. "
TURKISH = "Arılar çiçeklerden nektar toplar; güneş ışığı bahçede, kovan ağacın altında. "
RUSSIAN = "Пчёлы собирают нектар с цветов и делают из него мёд. Улей стоит в саду. "
GREEK = "Οι μέλισσες μαζεύουν νέκταρ από τα λουλούδια. "
HEBREW = "הדבורים אוספות צוף מהפרחים ומכינות ממנו דבש. "
ARABIC = "النحل يجمع الرحيق من الزهور ويصنع العسل. "
JAPANESE = "ミツバチは花から蜜を集めて蜂蜜を作ります。巣箱は庭にあります。"
CHINESE = "蜜蜂从花中采集花蜜并酿造蜂蜜。蜂箱放在花园里。"
TAIWANESE = "蜜蜂從花中採集花蜜並釀造蜂蜜。蜂箱放在花園裡。"
KOREAN = "꿀벌은 꽃에서 꿀을 모아 벌꿀을 만듭니다. 벌통은 정원에 있습니다. "


@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        ("utf-8", GERMAN), ("utf-8-sig", GERMAN), ("utf-8", "plain"), ("utf-8", CHINESE), ("utf-8", "🐝 buzz"),
        ("utf-16", RUSSIAN), ("utf-32", RUSSIAN),
        ("utf-16-le", GERMAN), ("utf-16-be", GERMAN), ("utf-16-le", RUSSIAN), ("utf-16-be", RUSSIAN),
        ("cp1252", GERMAN), ("cp1252", FRENCH), ("cp1252", ENGLISH), ("cp1252", SPANISH), ("cp1252", DANISH),
        ("cp1250", POLISH), ("cp1250", CZECH), ("cp1254", TURKISH),
        ("cp1251", RUSSIAN), ("koi8-r", RUSSIAN), ("cp1253", GREEK), ("cp1255", HEBREW), ("cp1256", ARABIC),
        ("shift_jis", JAPANESE), ("euc-jp", JAPANESE), ("iso2022_jp", JAPANESE),
        ("gb18030", CHINESE), ("big5", TAIWANESE), ("euc-kr", KOREAN),
    ],
)  # fmt: skip
@pytest.mark.parametrize("times", [1, 40])
def test_texts_in_the_encodings_of_the_world_are_read(encoding: str, text: str, times: int) -> None:
    assert decode((text * times).encode(encoding)) == text * times


@pytest.mark.parametrize(
    ("mark", "encoding"),
    [
        (codecs.BOM_UTF8, "utf-8"),
        (codecs.BOM_UTF16_LE, "utf-16-le"),
        (codecs.BOM_UTF16_BE, "utf-16-be"),
        (codecs.BOM_UTF32_LE, "utf-32-le"),
        (codecs.BOM_UTF32_BE, "utf-32-be"),
    ],
)
def test_a_byte_order_mark_is_obeyed_and_dropped(mark: bytes, encoding: str) -> None:
    assert decode(mark + "Bienen — 蜂".encode(encoding)) == "Bienen — 蜂"


def test_the_charset_that_a_page_declares_is_heard_where_a_guess_would_fail() -> None:
    page = '<html><head><meta charset="iso-8859-5"></head><body>Мёд</body></html>'

    assert decode(page.encode("iso8859-5"), html=True) == page
    assert decode(page.encode("iso8859-5")) != page


@pytest.mark.parametrize(
    "declaration",
    [
        '<meta http-equiv="Content-Type" content="text/html; charset=iso-8859-1">',
        "<?xml version='1.0' encoding='latin1'?>",
    ],
)
def test_latin1_in_a_page_means_cp1252_as_in_browsers(declaration: str) -> None:
    page = f"{declaration}<p>It’s 5 €</p>"

    assert decode(page.encode("cp1252"), html=True) == page


@pytest.mark.parametrize("charset", ["punycode", "idna", "unicode_escape", "utf-7", "zip", "no-such", "x" * 300])
def test_a_declared_charset_that_is_no_charset_of_pages_is_ignored(charset: str) -> None:
    page = f'<meta charset="{charset}"><p>{GERMAN}</p>'

    assert decode(page.encode("cp1252"), html=True) == page


def test_utf8_wins_over_a_wrong_declaration() -> None:
    page = '<meta charset="windows-1251"><p>Grüße</p>'

    assert decode(page.encode(), html=True) == page


def test_a_cut_character_does_not_turn_a_utf8_text_into_something_else() -> None:
    data = ("Köln grüßt Zürich. " * 20).encode() + "ü".encode()[:1]

    assert decode(data) == "Köln grüßt Zürich. " * 20 + "\ufffd"


@pytest.mark.parametrize("data", [bytes(range(256)) * 40, b"\x00\x01\x02\x03" * 100, b"\x00" * 5000])
def test_binary_data_is_refused(data: bytes) -> None:
    with pytest.raises(UnreadableDocument, match="binary data"):
        decode(data)


def test_a_log_with_colours_and_page_breaks_is_not_binary() -> None:
    assert not looks_binary("\x1b[31merror\x1b[0m\r\n\x0c\ttext" * 10)


@pytest.mark.parametrize(
    ("raw", "stored"),
    [
        ("a\r\nb\rc\nd", "a\nb\nc\nd"),
        ("a\x00b\x07c\x7fd\x9fe", "abcde"),
        ("\ufeffa\ufeffb", "ab"),
        ("a\ud800b\udfffc", "abc"),
        ("e\u0301", "é"),
        ("a \t \nb  ", "a\nb"),
        ("  kept\tinside", "  kept\tinside"),
        ("a\n\n\n\n\n\nb", "a\n\n\nb"),
        ("a\n\n\nb", "a\n\n\nb"),
        ("page one\x0cpage two\u2028line", "page one\npage two\nline"),
        ("\n\n  a\n\n", "  a"),
        ("e\x00\u0301", "é"),
        ("a\n \n \n \n \nb", "a\n\n\nb"),
        ("", ""),
    ],
)
def test_text_is_stored_in_one_form(raw: str, stored: str) -> None:
    assert normalise(raw) == stored


@given(st.text(st.characters(codec=None)) | st.text(st.sampled_from("a \t\r\n\x00\x0b\x85\u2028\ufeff\ud800\u0301e")))
def test_normalising_twice_changes_nothing_and_postgresql_takes_it(raw: str) -> None:
    text = normalise(raw)

    assert normalise(text) == text
    assert text.encode("utf-8").decode("utf-8") == text
    assert "\x00" not in text
    assert "\r" not in text
    assert "\n" * 4 not in text


@given(st.binary(max_size=4000), st.booleans())
def test_any_bytes_become_clean_text_or_a_plain_refusal(data: bytes, html: bool) -> None:
    try:
        text = normalise(decode(data, html=html))
    except UnreadableDocument as error:
        assert error.message.endswith(".")  # noqa: PT017
    else:
        assert "\x00" not in text
        text.encode("utf-8")


@given(st.text(min_size=1, max_size=300), st.sampled_from(["utf-8-sig", "utf-16", "utf-32"]))
def test_marked_unicode_is_read_as_it_was_written(text: str, encoding: str) -> None:
    data = text.encode(encoding)
    if looks_binary(text):
        return

    if encoding != "utf-16" or not text.startswith("\x00"):  # UTF-16 with a NUL first looks like UTF-32
        assert decode(data) == text


@pytest.mark.parametrize("raw", [" " * 200_000 + "x", "\n \n" * 60_000, "\r" * 200_000, "<meta " * 40_000])
def test_no_pattern_takes_more_than_linear_time(raw: str) -> None:
    import time

    started = time.thread_time()
    decode(normalise(raw).encode() + b"\xe9 \xe8", html=True)

    assert time.thread_time() - started < 1.0
