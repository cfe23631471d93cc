"""The table of trusted documents."""

from datetime import datetime

from sqlalchemy import Column, LargeBinary
from sqlmodel import Field, SQLModel

from kyrochat.db.columns import now, text_


class TrustedDocument(SQLModel, table=True):
    """A GraphQL document that clients may name by the SHA-256 of its text. It is the server's, no tenant's."""

    __tablename__ = "trusted_documents"

    sha256: bytes = Field(sa_column=Column(LargeBinary, primary_key=True))
    body: str = text_()
    registered_at: datetime = now()
