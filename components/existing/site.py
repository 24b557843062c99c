"""What is there already as a provider of hosts and a storage."""

from components.existing.hosts import Hosts
from components.existing.storage import storage
from components.host import Site
from settings import Settings


def site(stack: str, settings: Settings) -> Site:
    """The inventory's hosts and the storage that the configuration names; nothing of it is created."""
    return Site(hosts=Hosts(stack, settings.hosts).hosts, storage=storage(settings.storage))
