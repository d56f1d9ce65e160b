"""`factory env`: what a shell needs so that `dg`.

`dagster` and `dagster-webserver` see this factory.
"""

import os
import shlex

from factory_resources.home.home import Home
from factory_resources.instance import prepare
from factory_resources.security.offline import SWITCHES


def environment() -> str:
    """`export` lines for a POSIX shell; the home is prepared first."""
    prepare(Home.from_env())
    names = ("FACTORY_HOME", "DAGSTER_HOME", *SWITCHES)
    return "".join(f"export {name}={shlex.quote(os.environ[name])}\n" for name in names)
