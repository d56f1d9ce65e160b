"""Check whether the boundary around this process allows an address, before connecting to it.

The kernel refuses the others anyway, but C libraries do not say why.
"""

import os

from factory_resources.boundary.addresses import join_address
from factory_resources.boundary.inside import LEVEL_VARIABLE, is_allowed
from factory_resources.errors import SourceError


def require_allowed(host: str, port: int, *, where: str) -> None:
    """Require that a source may be reached.

    Args:
        where: the source, for the message.

    Raises:
        SourceError: the boundary does not allow it.
    """
    if os.environ.get(LEVEL_VARIABLE) != "namespaces" or is_allowed(host, port):
        return
    address = join_address(host, port)
    raise SourceError(
        f"the boundary does not allow {address}",
        where=where,
        remedy=f"if it may be reached, declare boundary: {{allow: ['{address}']}}",
    )
