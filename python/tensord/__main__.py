"""`python -m tensord`."""
import sys

from tensord.commands import main

sys.exit(main())
