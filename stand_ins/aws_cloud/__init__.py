"""The data centre behind moto: `Cloud` makes real, on the hosts of a lab, what moto's API says there is.

moto (`moto_server`) answers AWS's API. `cloud` asks it what there is and makes it so: hosts that boot with cloud-init
(`lab.cloud_machines`), security groups and public addresses (`firewall`), the metadata service (`imds`), private names
(`dns`), and EBS volumes (`volumes`). Whoever talks to moto need not know.
"""

from stand_ins.aws_cloud.cloud import Cloud, CloudHost

__all__ = ["Cloud", "CloudHost"]
