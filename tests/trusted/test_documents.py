from kyrochat.db.engine import Database
from kyrochat.trusted.documents import TrustedDocuments, document_hash

ONE, OTHER = "{ me { id } }", "query Other { me { email } }"


async def test_documents_are_registered_once_and_found_by_their_hash(database: Database) -> None:
    trusted = TrustedDocuments(database)

    assert await trusted.register([ONE, OTHER, ONE]) == 2
    assert await trusted.register([ONE]) == 0

    assert await trusted.text(document_hash(ONE)) == ONE
    assert await trusted.text(document_hash("{ other }")) is None
    assert {document.sha256: document.body for document in await trusted.all()} == {
        document_hash(ONE): ONE,
        document_hash(OTHER): OTHER,
    }


async def test_one_that_is_registered_later_is_found_by_those_who_asked_before(database: Database) -> None:
    here, elsewhere = TrustedDocuments(database), TrustedDocuments(database)
    assert await here.text(document_hash(ONE)) is None

    await elsewhere.register([ONE])

    assert await here.text(document_hash(ONE)) == ONE


async def test_a_removed_one_is_unknown_to_whoever_has_not_seen_it(database: Database) -> None:
    trusted = TrustedDocuments(database)
    await trusted.register([ONE, OTHER])

    assert await trusted.remove([document_hash(ONE), "0" * 64]) == 1

    assert await TrustedDocuments(database).text(document_hash(ONE)) is None
    assert await TrustedDocuments(database).text(document_hash(OTHER)) == OTHER


async def test_many_are_stored_in_one_go(database: Database) -> None:
    trusted = TrustedDocuments(database)
    many = [f"{{ field{number} }}" for number in range(1_201)]

    assert await trusted.register(many) == 1_201
    assert await trusted.register([*many, ONE]) == 1
