"""Dagster's view of the code server, as each visitor may use it.

What may be asked for is decided in `operations`, before Dagster is asked; Dagster's own permissions
are a second line, and tell its pages what to offer.
"""

from collections.abc import Mapping

from dagster._core.workspace.context import WorkspaceRequestContext
from dagster._core.workspace.permissions import PermissionResult
from starlette.requests import HTTPConnection

from factory_assets.web.dagster.code_server import reload_code
from factory_assets.web.dagster.operations import REFUSED_PERMISSIONS
from factory_assets.web.dagster.unwatched import UnwatchedWorkspace
from factory_assets.web.visitor import Visitor, visitor_of

_NOT_HERE = PermissionResult(enabled=False, disabled_reason="Not allowed in this factory")


class VisitorContext(WorkspaceRequestContext):
    """What one request may use."""

    @property
    def visitor(self) -> Visitor:
        """Who asks."""
        assert isinstance(self.source, HTTPConnection)
        return visitor_of(self.source.scope)

    @property
    def permissions(self) -> Mapping[str, PermissionResult]:
        return _without_refused(super().permissions)

    def permissions_for_location(self, *, location_name: str) -> Mapping[str, PermissionResult]:
        return _without_refused(super().permissions_for_location(location_name=location_name))


class VisitorWorkspace(UnwatchedWorkspace):
    """The workspace of the process, which hands out a context for each request."""

    def reload_code_location(self, name: str) -> None:
        """Load the pipelines as they are declared now."""
        if self._code is None:
            super().reload_code_location(name)
        else:
            reload_code(self._code)
            self.refresh_code_location(name)

    def reload_workspace(self) -> None:
        """Load the pipelines as they are declared now."""
        if self._code is None:
            super().reload_workspace()
        else:
            reload_code(self._code)
            self.refresh_workspace()

    def create_request_context(self, source: object | None = None) -> VisitorContext:
        """Return the context of a request; nothing may be changed in one without a visitor."""
        acts = isinstance(source, HTTPConnection) and visitor_of(source.scope).may_act()
        return VisitorContext(
            instance=self.instance,
            current_workspace=self.get_current_workspace(),
            process_context=self,
            version=self.version,
            source=source,
            read_only=not acts,
        )


def _without_refused(permissions: Mapping[str, PermissionResult]) -> dict[str, PermissionResult]:
    return {
        name: _NOT_HERE if name in REFUSED_PERMISSIONS else result
        for name, result in permissions.items()
    }
