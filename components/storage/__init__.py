"""Where a cluster keeps its state: HA metadata, checkpoints, savepoints, files of declared jobs, copies of releases.

`table.STORAGES` is the only table of kinds of storages. A kind is a module here and a row there: its schemes, the
configuration keys that belong to it, and what it means to Flink and to hosts. Nothing outside of this package asks
which kind a storage is of; a provider that creates one knows what it creates.
"""

from .azure import Azure
from .base import Backend
from .gcs import Gcs
from .hdfs import Hdfs, Kerberos
from .oss import Oss
from .s3 import S3
from .shared_files import SharedFiles
from .storage import Storage

__all__ = ["S3", "Azure", "Backend", "Gcs", "Hdfs", "Kerberos", "Oss", "SharedFiles", "Storage"]
