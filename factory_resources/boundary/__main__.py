"""`python -I -m factory_resources.boundary [OPTION]... -- COMMAND [ARGUMENT]...`."""

import sys

from factory_resources.boundary.command import main

sys.exit(main(sys.argv[1:]))
