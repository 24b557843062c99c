"""`python -m toolbox.flink_options [ARCHIVE]`."""

import sys
from pathlib import Path

from toolbox.flink_options import TABLE, archive, table

VERSION = "2.3.0"
"""The release that stacks have by default."""

if __name__ == "__main__":
    TABLE.write_text(table(Path(sys.argv[1]) if len(sys.argv) > 1 else archive(VERSION)))
    print(f"{TABLE}: written")
