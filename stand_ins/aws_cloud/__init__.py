"""The data center behind moto: `Cloud` makes real, on the hosts of a lab, what moto's API reports.

moto (`moto_server`) answers AWS's API. `cloud` reads its state and makes it real: hosts that boot with cloud-init
(`lab.cloud_machines`), security groups and public addresses (`firewall`), the metadata service (`imds`), private names
(`dns`), and EBS volumes (`volumes`). Clients of moto need not know about it.
"""

from stand_ins.aws_cloud.cloud import Cloud, CloudHost

__all__ = ["Cloud", "CloudHost"]
