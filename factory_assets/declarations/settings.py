"""Read `factory.yaml` and the policy of witnesses beside it, in the folder of pipelines."""

from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from factory_assets.declarations.folders import SETTINGS, new_pipelines_folder, settings_file
from factory_assets.declarations.single_model import validated
from factory_assets.declarations.yaml_document import content_of
from factory_assets.spec.settings import FactorySettings, OpenIdConnect
from factory_resources.errors import DeclarationError

if TYPE_CHECKING:
    from factory_resources.ledger.factory_verify import TrustPolicy

FILE = SETTINGS


@dataclass(frozen=True)
class DeclaredSettings:
    """The settings, and the policy that they name."""

    settings: FactorySettings
    policy: "TrustPolicy | None"
    digest: str
    """SHA-256 of both files."""


def load_settings() -> DeclaredSettings | None:
    """Return the settings; None if there is no `factory.yaml`.

    Raises:
        DeclarationError: one of the files is wrong; with its line if it is known.
    """
    file = settings_file()
    if not file.exists():
        return None
    content = _read(file)
    settings = validated(content, file, FactorySettings, FactorySettings)
    if settings.witness is None:
        return DeclaredSettings(settings, None, sha256(content).hexdigest())
    policy = _read(file.parent / settings.witness.policy)
    return DeclaredSettings(
        settings,
        _policy(file.parent / settings.witness.policy, policy),
        sha256(content + b"\0" + policy).hexdigest(),
    )


def declared_provider() -> OpenIdConnect | None:
    """Return the identity provider; None if people log in without one.

    Raises:
        DeclarationError: `factory.yaml` is wrong.
    """
    declared = load_settings()
    login = declared.settings.login if declared else None
    return login.oidc if login else None


def policy_file() -> Path | None:
    """Return the file of the policy of witnesses; None if there are no witnesses."""
    declared = load_settings()
    if declared is None or declared.settings.witness is None:
        return None
    return new_pipelines_folder() / declared.settings.witness.policy


def _policy(file: Path, content: bytes) -> "TrustPolicy":
    from factory_resources.ledger.factory_verify import InvalidError, TrustPolicy

    try:
        return TrustPolicy.parse(content)
    except InvalidError as error:
        raise DeclarationError(
            str(error),
            where=str(file),
            remedy="its format is that of https://c2sp.org/tlog-policy; docs/audit.md has one",
        ) from error


def _read(file: Path) -> bytes:
    try:
        return content_of(file)
    except OSError as error:
        raise DeclarationError(
            f"cannot be read ({error.strerror})",
            where=str(file),
            remedy=f"write it, or change {FILE}",
        ) from error
