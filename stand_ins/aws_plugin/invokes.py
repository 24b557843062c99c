"""The functions: what a program reads from AWS before it creates anything."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from stand_ins.aws_plugin import s3
from stand_ins.aws_plugin.ec2 import arn, tags_of
from stand_ins.aws_plugin.resource import Aws, Refused
from stand_ins.plugin.values import Object


def get_caller_identity(args: Object, aws: Aws) -> Object:
    """The caller's identity."""
    answer = aws.client("sts").get_caller_identity()
    account = answer["Account"]
    return {"accountId": account, "arn": answer["Arn"], "id": account, "userId": answer["UserId"]}


def get_region(args: Object, aws: Aws) -> Object:
    """The provider's region."""
    endpoint = f"ec2.{aws.region}.amazonaws.com"
    return {"description": aws.region, "endpoint": endpoint, "id": aws.region, "name": aws.region, "region": aws.region}


def get_availability_zones(args: Object, aws: Aws) -> Object:
    """The zones that the account may use."""
    if args.get("state") not in (None, "available", "information", "impaired", "unavailable", "constrained"):
        raise Refused(f"expected state to be one of AWS's, got {args['state']}")
    filters = _filters(args)
    if args.get("state"):
        filters.append({"Name": "state", "Values": [args["state"]]})
    extra = {"AllAvailabilityZones": True} if args.get("allAvailabilityZones") else {}
    zones = aws.client("ec2").describe_availability_zones(Filters=filters, **extra)["AvailabilityZones"]
    names, ids = args.get("excludeNames") or [], args.get("excludeZoneIds") or []
    zones = [zone for zone in zones if zone["ZoneName"] not in names and zone.get("ZoneId") not in ids]
    zones.sort(key=lambda zone: zone["ZoneName"])
    return {
        **args,
        "groupNames": sorted({zone.get("GroupName") or aws.region for zone in zones}),
        "id": aws.region,
        "names": [zone["ZoneName"] for zone in zones],
        "region": aws.region,
        "zoneIds": [zone.get("ZoneId", "") for zone in zones],
    }


def get_instance_type(args: Object, aws: Aws) -> Object:
    """A machine's size, or AWS's error if there is no such type."""
    [found] = aws.client("ec2").describe_instance_types(InstanceTypes=[args["instanceType"]])["InstanceTypes"]
    processor, cpus = found.get("ProcessorInfo") or {}, found.get("VCpuInfo") or {}
    network, storage = found.get("NetworkInfo") or {}, found.get("InstanceStorageInfo") or {}
    return {
        "autoRecoverySupported": found.get("AutoRecoverySupported", False),
        "bareMetal": found.get("BareMetal", False),
        "burstablePerformanceSupported": found.get("BurstablePerformanceSupported", False),
        "currentGeneration": found.get("CurrentGeneration", True),
        "defaultCores": cpus.get("DefaultCores", 0),
        "defaultThreadsPerCore": cpus.get("DefaultThreadsPerCore", 0),
        "defaultVcpus": cpus.get("DefaultVCpus", 0),
        "ebsOptimizedSupport": (found.get("EbsInfo") or {}).get("EbsOptimizedSupport", ""),
        "freeTierEligible": found.get("FreeTierEligible", False),
        "hypervisor": found.get("Hypervisor", ""),
        "id": args["instanceType"],
        "instanceDisks": [
            {"count": disk["Count"], "size": disk["SizeInGB"], "type": disk["Type"]}
            for disk in storage.get("Disks") or []
        ],
        "instanceStorageSupported": found.get("InstanceStorageSupported", False),
        "instanceType": args["instanceType"],
        "maximumNetworkInterfaces": network.get("MaximumNetworkInterfaces", 0),
        "memorySize": found["MemoryInfo"]["SizeInMiB"],
        "networkPerformance": network.get("NetworkPerformance", ""),
        "region": aws.region,
        "supportedPlacementStrategies": (found.get("PlacementGroupInfo") or {}).get("SupportedStrategies") or [],
        "supportedArchitectures": processor.get("SupportedArchitectures") or [],
        "supportedUsagesClasses": found.get("SupportedUsageClasses") or [],
        "sustainedClockSpeed": processor.get("SustainedClockSpeedInGhz", 0),
        "totalInstanceStorage": storage.get("TotalSizeInGB", 0),
    }


def get_instance_types(args: Object, aws: Aws) -> Object:
    """The names of the types that filters describe."""
    pages = aws.client("ec2").get_paginator("describe_instance_types").paginate(Filters=_filters(args))
    names = [found["InstanceType"] for page in pages for found in page["InstanceTypes"]]
    return {**args, "id": aws.region, "instanceTypes": names, "region": aws.region}


def get_instance_type_offerings(args: Object, aws: Aws) -> Object:
    """The types that are offered in each location."""
    query = {"LocationType": args["locationType"]} if args.get("locationType") else {}
    pages = (
        aws.client("ec2").get_paginator("describe_instance_type_offerings").paginate(Filters=_filters(args), **query)
    )
    found = [offer for page in pages for offer in page["InstanceTypeOfferings"]]
    return {
        **args,
        "id": aws.region,
        "instanceTypes": [offer["InstanceType"] for offer in found],
        "locationTypes": [offer["LocationType"] for offer in found],
        "locations": [offer["Location"] for offer in found],
        "region": aws.region,
    }


def get_ebs_volumes(args: Object, aws: Aws) -> Object:
    """The volumes that filters and tags describe."""
    tags = [{"Name": f"tag:{key}", "Values": [value]} for key, value in (args.get("tags") or {}).items()]
    pages = aws.client("ec2").get_paginator("describe_volumes").paginate(Filters=[*_filters(args), *tags])
    ids = [volume["VolumeId"] for page in pages for volume in page["Volumes"]]
    return {**args, "id": aws.region, "ids": ids, "region": aws.region}


def get_instances(args: Object, aws: Aws) -> Object:
    """The machines with these tags in these states; running ones if no state is given."""
    states = args.get("instanceStateNames") or ["running"]
    filters = [*_filters(args), {"Name": "instance-state-name", "Values": states}]
    for key, value in (args.get("instanceTags") or {}).items():
        filters.append({"Name": f"tag:{key}", "Values": [value]})
    pages = aws.client("ec2").get_paginator("describe_instances").paginate(Filters=filters)
    found: list[Any] = [i for page in pages for group in page["Reservations"] for i in group["Instances"]]
    return {
        **args,
        "id": aws.region,
        "ids": [instance["InstanceId"] for instance in found],
        "instanceTags": args.get("instanceTags") or {},
        "ipv6Addresses": [],
        "privateIps": [instance["PrivateIpAddress"] for instance in found if instance.get("PrivateIpAddress")],
        "publicIps": [instance["PublicIpAddress"] for instance in found if instance.get("PublicIpAddress")],
        "region": aws.region,
    }


def get_vpc(args: Object, aws: Aws) -> Object:
    """One network, by id, tags, CIDR or filters."""
    vpc = _only("EC2 VPC", aws.client("ec2").describe_vpcs(**_query(args, "vpc", "VpcIds"))["Vpcs"])
    id = vpc["VpcId"]
    of_vpc = [{"Name": "vpc-id", "Values": [id]}, {"Name": "association.main", "Values": ["true"]}]
    tables = aws.client("ec2").describe_route_tables(Filters=of_vpc)["RouteTables"]
    associations = vpc.get("CidrBlockAssociationSet") or []
    return {
        "arn": arn(aws, f"vpc/{id}"),
        "cidrBlock": vpc["CidrBlock"],
        "cidrBlockAssociations": [
            {
                "associationId": item["AssociationId"],
                "cidrBlock": item["CidrBlock"],
                "state": item["CidrBlockState"]["State"],
            }
            for item in associations
        ],
        "default": bool(vpc.get("IsDefault")),
        "dhcpOptionsId": vpc.get("DhcpOptionsId", ""),
        "enableDnsHostnames": _vpc_attribute(id, "enableDnsHostnames", aws),
        "enableDnsSupport": _vpc_attribute(id, "enableDnsSupport", aws),
        "enableNetworkAddressUsageMetrics": False,
        "id": id,
        "instanceTenancy": vpc["InstanceTenancy"],
        "ipv6AssociationId": "",
        "ipv6CidrBlock": "",
        "mainRouteTableId": tables[0]["RouteTableId"] if tables else "",
        "ownerId": vpc.get("OwnerId", ""),
        "region": aws.region,
        "state": vpc["State"],
        "tags": tags_of(vpc),
    }


def get_subnet(args: Object, aws: Aws) -> Object:
    """One subnet, by id, network, tags, CIDR or filters."""
    subnet = _only("EC2 Subnet", aws.client("ec2").describe_subnets(**_query(args, "subnet", "SubnetIds"))["Subnets"])
    id = subnet["SubnetId"]
    return {
        "arn": subnet.get("SubnetArn") or arn(aws, f"subnet/{id}"),
        "assignIpv6AddressOnCreation": subnet.get("AssignIpv6AddressOnCreation", False),
        "availabilityZone": subnet["AvailabilityZone"],
        "availabilityZoneId": subnet.get("AvailabilityZoneId", ""),
        "availableIpAddressCount": subnet.get("AvailableIpAddressCount", 0),
        "cidrBlock": subnet["CidrBlock"],
        "customerOwnedIpv4Pool": "",
        "defaultForAz": subnet.get("DefaultForAz", False),
        "enableDns64": False,
        "enableLniAtDeviceIndex": 0,
        "enableResourceNameDnsARecordOnLaunch": False,
        "enableResourceNameDnsAaaaRecordOnLaunch": False,
        "id": id,
        "ipv6CidrBlock": "",
        "ipv6CidrBlockAssociationId": "",
        "ipv6Native": False,
        "mapCustomerOwnedIpOnLaunch": False,
        "mapPublicIpOnLaunch": subnet["MapPublicIpOnLaunch"],
        "outpostArn": "",
        "ownerId": subnet.get("OwnerId", ""),
        "privateDnsHostnameTypeOnLaunch": "ip-name",
        "region": aws.region,
        "state": subnet["State"],
        "tags": tags_of(subnet),
        "vpcId": subnet["VpcId"],
    }


def get_parameter(args: Object, aws: Aws) -> Object:
    """A parameter of Systems Manager, such as an official image's id."""
    decrypted = args.get("withDecryption", True)
    found = aws.client("ssm").get_parameter(Name=args["name"], WithDecryption=decrypted)["Parameter"]
    secret = found["Type"] == "SecureString"
    return {
        "arn": found.get("ARN", ""),
        "id": args["name"],
        "insecureValue": "" if secret else found["Value"],
        "name": found["Name"],
        "region": aws.region,
        "type": found["Type"],
        "value": found["Value"],
        "version": found["Version"],
        "withDecryption": decrypted,
    }


def get_bucket(args: Object, aws: Aws) -> Object:
    """A bucket, wherever it is: HeadBucket answers with its region, for a bucket of another region, too."""
    name, client = args["bucket"], aws.client("s3")
    if not s3.is_there(client, name):
        raise Refused(f"reading S3 Bucket ({name}): couldn't find resource")
    # moto's HeadBucket has no header for it
    region = client.get_bucket_location(Bucket=name)["LocationConstraint"] or "us-east-1"
    return {
        "arn": f"arn:{aws.partition}:s3:::{name}",
        "bucket": name,
        "bucketDomainName": f"{name}.s3.amazonaws.com",
        "bucketRegion": region,
        "bucketRegionalDomainName": f"{name}.s3.{region}.amazonaws.com",
        "id": name,
        "region": aws.region,
    }


def get_policy(args: Object, aws: Aws) -> Object:
    """A managed policy, by its ARN."""
    found = aws.client("iam").get_policy(PolicyArn=args["arn"])["Policy"]
    return {"arn": found["Arn"], "id": found["Arn"], "name": found["PolicyName"], "path": found["Path"]}


def get_instance_profile(args: Object, aws: Aws) -> Object:
    """An instance profile with its role, if it has one."""
    found = aws.client("iam").get_instance_profile(InstanceProfileName=args["name"])["InstanceProfile"]
    role: Object = next(iter(found["Roles"]), {})
    return {
        "arn": found["Arn"],
        "id": found["InstanceProfileId"],
        "name": args["name"],
        "path": found["Path"],
        "roleArn": role.get("Arn", ""),
        "roleId": role.get("RoleId", ""),
        "roleName": role.get("RoleName", ""),
    }


def get_security_group(args: Object, aws: Aws) -> Object:
    """A security group, by its id."""
    found = aws.client("ec2").describe_security_groups(GroupIds=[args["id"]])["SecurityGroups"]
    group = _only("EC2 Security Group", found)
    return {
        "arn": arn(aws, f"security-group/{args['id']}"),
        "description": group["Description"],
        "id": args["id"],
        "name": group["GroupName"],
        "region": aws.region,
        "tags": tags_of(group),
        "vpcId": group["VpcId"],
    }


def _filters(args: Object) -> list[Object]:
    return [{"Name": item["name"], "Values": item["values"]} for item in args.get("filters") or []]


def _query(args: Object, kind: str, ids: str) -> Object:
    """The parameters to find one object: by its id if that is given; AWS has an error for an unknown id."""
    filters = _filters(args)
    names = {"availabilityZone": "availability-zone", "cidrBlock": "cidr", "state": "state", "vpcId": "vpc-id"}
    if kind == "subnet":
        names["cidrBlock"] = "cidr-block"
    filters.extend({"Name": name, "Values": [args[key]]} for key, name in names.items() if args.get(key))
    filters.extend({"Name": f"tag:{key}", "Values": [value]} for key, value in (args.get("tags") or {}).items())
    if args.get("default"):
        filters.append({"Name": "isDefault", "Values": ["true"]})
    found: Object = {"Filters": filters} if filters else {}
    return {**found, ids: [args["id"]]} if args.get("id") else found


def _only(kind: str, found: list[Any]) -> Any:
    if len(found) == 1:
        return found[0]
    if not found:
        raise Refused(f"no matching {kind} found")
    raise Refused(f"multiple {kind}s matched; use additional constraints to reduce matches to a single {kind}")


def _vpc_attribute(id: str, name: str, aws: Aws) -> bool:
    answer = aws.client("ec2").describe_vpc_attribute(VpcId=id, Attribute=name)
    return bool(answer[name[0].upper() + name[1:]]["Value"])


INVOKES: dict[str, Callable[[Object, Aws], Object]] = {
    "aws:ebs/getEbsVolumes:getEbsVolumes": get_ebs_volumes,
    "aws:ec2/getInstanceTypeOfferings:getInstanceTypeOfferings": get_instance_type_offerings,
    "aws:ec2/getInstanceType:getInstanceType": get_instance_type,
    "aws:ec2/getInstanceTypes:getInstanceTypes": get_instance_types,
    "aws:ec2/getInstances:getInstances": get_instances,
    "aws:ec2/getSecurityGroup:getSecurityGroup": get_security_group,
    "aws:ec2/getSubnet:getSubnet": get_subnet,
    "aws:ec2/getVpc:getVpc": get_vpc,
    "aws:iam/getInstanceProfile:getInstanceProfile": get_instance_profile,
    "aws:iam/getPolicy:getPolicy": get_policy,
    "aws:index/getAvailabilityZones:getAvailabilityZones": get_availability_zones,
    "aws:index/getCallerIdentity:getCallerIdentity": get_caller_identity,
    "aws:index/getRegion:getRegion": get_region,
    "aws:s3/getBucket:getBucket": get_bucket,
    "aws:ssm/getParameter:getParameter": get_parameter,
}
