"""The certificate of a server that is up: a renewed one counts without a restart.

Whether certificate and key can be used is decided in `listen`.
"""

from __future__ import annotations

import logging
import ssl
from dataclasses import dataclass
from pathlib import Path

from factory_assets.serving.http.listen import require_certificate
from factory_resources.errors import SettingError
from factory_resources.home.file_stamp import FileStamp, file_stamp

_LOG = logging.getLogger("factory.tls")


@dataclass
class CertificateWatch:
    """Loads the files again into the context of a server once they have changed.

    Connections that are open go on with the former certificate.
    """

    certificate: Path
    key: Path
    context: ssl.SSLContext

    def __post_init__(self) -> None:
        self._loaded = self._seen = self._stamps()

    def look(self) -> None:
        """Load them if they have changed since they were loaded, but no more since the last look.

        Those that cannot be used, as where one of both is not renewed yet, are left alone.
        """
        before, self._seen = self._seen, self._stamps()
        if self._seen is None or self._seen != before or self._seen == self._loaded:
            return
        self._loaded = self._seen
        try:
            # With what does not belong together, the context would be left without a key.
            require_certificate(self.certificate, self.key)
            self.context.load_cert_chain(self.certificate, self.key)
        except (SettingError, OSError) as error:
            _LOG.error("the renewed certificate does not count, the former one does: %s", error)
        else:
            _LOG.warning("the renewed certificate counts: %s", self.certificate)

    def _stamps(self) -> tuple[FileStamp | None, FileStamp | None] | None:
        try:
            return file_stamp(self.certificate), file_stamp(self.key)
        except OSError:
            return None
