"""What Pinecone answers to requests it understands, and which ones it refuses. Field names are those of 2026-07."""

import json
import re
from collections.abc import Set
from typing import Any

from tests.fakes.pinecone_filters import Refused, matches
from tests.fakes.pinecone_steps import HttpError
from tests.fakes.pinecone_store import Document, Index, Namespace, Visibility

MAX_DOCUMENTS = 1_000
MAX_TOP_K = 10_000
NAMESPACE_NOT_FOUND = HttpError(404, "NOT_FOUND", "Namespace not found.")
COMMITTED = "x-pinecone-request-lsn"
INDEXED = "x-pinecone-max-indexed-lsn"

Reply = tuple[dict[str, Any], dict[str, str]]


def new_index(body: dict[str, Any], url: str) -> Index:
    """Return the index that the body asks for."""
    _only(body, required={"schema"}, optional={"name", "deployment", "deletion_protection", "tags", "read_capacity"})
    name, fields, deployment = body.get("name", ""), body["schema"].get("fields"), body.get("deployment", {})
    if not re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,43}[a-z0-9])?", name):
        raise Refused("a name has up to 45 lower-case letters, digits and hyphens.")
    if deployment.get("deployment_type") != "managed" or not {"cloud", "region"} <= deployment.keys():
        raise Refused("a managed deployment has cloud and region.")
    if not isinstance(fields, dict) or not fields:
        raise Refused("a schema has fields.")
    kinds = [_kind_of(name, declared) for name, declared in fields.items()]
    if kinds.count("dense_vector") > 1 or kinds.count("sparse_vector") > 1:
        raise Refused("there is at most one field of each kind of vector.")
    return Index(name, fields, deployment, f"{url}/_idx/{name}")


def _kind_of(name: str, declared: dict[str, Any]) -> object:
    if name.startswith(("_", "$")):
        raise Refused(f"{name} is a reserved name.")
    kind = declared.get("type")
    if kind == "dense_vector":
        _only(declared, required={"type", "dimension", "metric"}, optional={"description"})
        if not 1 <= declared["dimension"] <= 20_000 or declared["metric"] not in ("cosine", "dotproduct", "euclidean"):
            raise Refused(f"{name} has a dimension or metric that does not exist.")
    elif kind == "sparse_vector":
        _only(declared, required={"type"}, optional={"description"})
    else:
        raise Refused(f"{name}: this fake knows vectors only.")
    return kind


def upsert(index: Index, name: str, body: dict[str, Any], visibility: Visibility, store_only: int | None) -> Reply:
    _only(body, required={"documents"})
    if not 1 <= len(body["documents"]) <= MAX_DOCUMENTS:
        raise Refused(f"a request has 1 to {MAX_DOCUMENTS} documents.")
    documents = [index.checked(document) for document in body["documents"]][:store_only]

    def change(held: dict[str, Document]) -> None:
        held.update((document["_id"], document) for document in documents)

    namespace = index.namespaces.setdefault(name, Namespace())
    return {"upserted_count": len(documents)}, _position(COMMITTED, namespace.write(change, visibility), visibility)


def search(index: Index, name: str, body: dict[str, Any], visibility: Visibility) -> Reply:
    _only(body, required={"score_by", "top_k"}, optional={"include_fields", "filter"})
    if not 1 <= body["top_k"] <= MAX_TOP_K or len(body["score_by"]) != 1:
        raise Refused("a search by vector has one clause and a top_k of 1 to 10000.")
    (clause,) = body["score_by"]
    _only(clause, required={"type", "field", "values"})
    if clause["type"] != "dense_vector":
        raise Refused(f"{clause['type']}: this fake searches dense vectors only.")
    namespace = index.namespaces.get(name, Namespace())
    ranked = index.ranked(namespace, clause["field"], clause["values"], body.get("filter"))
    wanted = {"_id", "_score", *(body.get("include_fields") or ())}
    found = [
        {key: value for key, value in document.items() if "*" in wanted or key in wanted}
        for document in ranked[: body["top_k"]]
    ]
    position = _position(INDEXED, namespace.last_visible_write, visibility) if namespace.last_write else {}
    namespace.advance(visibility, searches=1)
    return {"matches": found, "namespace": name, "usage": {"read_units": 1}}, position


def fetch(index: Index, name: str, body: dict[str, Any]) -> Reply:
    _only(body, optional={"ids", "filter", "include_fields", "limit", "pagination_token"})
    _one_of(body, "ids", "filter")
    held = index.namespaces[name].accepted
    chosen = _chosen(index, held, body)
    reply: dict[str, Any] = {"namespace": name, "usage": {"read_units": 1}}
    if "filter" in body:
        # A page at a time; the token is the place of the next one.
        start, limit = int(body.get("pagination_token") or 0), body.get("limit", 100)
        if len(chosen) > start + limit:
            reply["pagination"] = {"next": str(start + limit)}
        chosen = chosen[start : start + limit]
    wanted = {"_id", *(body.get("include_fields") or ["*"])}
    reply["documents"] = {
        key: {name: value for name, value in held[key].items() if "*" in wanted or name in wanted} for key in chosen
    }
    return reply, {}


def delete(index: Index, name: str, body: dict[str, Any], visibility: Visibility) -> Reply:
    _only(body, optional={"ids", "filter", "delete_all"})
    _one_of(body, "ids", "filter", "delete_all")
    namespace = index.namespaces[name]
    matched = _chosen(index, namespace.visible, body)

    def change(held: dict[str, Document]) -> None:
        early = visibility.deletes_what_is_visible and "filter" in body
        for key in matched if early else _chosen(index, held, body):
            held.pop(key, None)

    write = namespace.write(change, visibility)
    counted = {"matched_records": len(matched)} if "filter" in body and visibility.counts_matches else {}
    return counted, _position(COMMITTED, write, visibility)


def _chosen(index: Index, held: dict[str, Document], body: dict[str, Any]) -> list[str]:
    if "filter" in body:
        matches(body["filter"], {}, index.data_fields)
        return [key for key, document in held.items() if matches(body["filter"], document, index.data_fields)]
    return [key for key in body["ids"] if key in held] if "ids" in body else [*held]


def _position(header: str, write: int, visibility: Visibility) -> dict[str, str]:
    return {header: str(write)} if visibility.tells_positions else {}


def _one_of(body: dict[str, Any], *names: str) -> None:
    if sum(name in body for name in names) != 1:
        raise Refused(f"a request has one of {', '.join(names)}.")


def _only(body: dict[str, Any], required: Set[str] = frozenset(), optional: Set[str] = frozenset()) -> None:
    if not required <= body.keys() <= required | optional:
        raise Refused(f"{json.dumps(sorted(body))} is not {sorted(required)} and perhaps {sorted(optional)}.")
