"""The interface of everything that has an id."""

import strawberry


@strawberry.interface(description="An object with an id; fetch it again with `node`.")
class Node:
    """Relay's Node."""

    id: strawberry.ID = strawberry.field(description="Opaque and unique among all objects.")
