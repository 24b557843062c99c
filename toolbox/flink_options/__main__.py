"""`python -m toolbox.flink_options [ARCHIVE]`."""

import sys
from pathlib import Path

from toolbox.flink_options import TABLE, VERSION, archive, table

if __name__ == "__main__":
    TABLE.write_text(table(Path(sys.argv[1]) if len(sys.argv) > 1 else archive(VERSION)))
    print(f"{TABLE}: written")
