"""Uses openstacksdk as a program would: everything it makes, it finds, changes, and deletes again. Ends with 0 when all was
as it should be. The OS_* variables say where and who."""

import time
import uuid

import openstack

connection = openstack.connect(verify=False)
balancing = connection.load_balancer

made = balancing.create_load_balancer(name="sdk", vip_subnet_id=str(uuid.uuid4()), tags=["sdk"])
assert made.provisioning_status == "PENDING_CREATE", made


def active(balancer):
    return balancing.wait_for_load_balancer(balancer.id, interval=0.1, wait=30)


balancer = active(made)
assert balancing.find_load_balancer("sdk").id == balancer.id
assert [each.id for each in balancing.load_balancers(name="sdk")] == [balancer.id]

listener = balancing.create_listener(load_balancer_id=balancer.id, name="l", protocol="HTTP", protocol_port=80)
active(balancer)
pool = balancing.create_pool(listener_id=listener.id, name="p", protocol="HTTP", lb_algorithm="ROUND_ROBIN")
active(balancer)
members = []
for port in (81, 82, 83):
    members.append(balancing.create_member(pool, address="192.0.2.1", protocol_port=port))
    active(balancer)
# Three pages, by the links of each.
assert len(list(balancing.members(pool, limit=1))) == 3
balancing.update_member(members[0], pool, weight=7)
active(balancer)
assert balancing.get_member(members[0].id, pool).weight == 7
balancing.delete_member(members[0], pool)
active(balancer)
monitor = balancing.create_health_monitor(pool_id=pool.id, type="TCP", delay=1, timeout=1, max_retries=1)
active(balancer)
policy = balancing.create_l7_policy(listener_id=listener.id, action="REJECT")
active(balancer)
rule = balancing.create_l7_rule(policy, type="PATH", compare_type="EQUAL_TO", value="/x")
active(balancer)
assert balancing.get_l7_rule(rule.id, policy).rule_value == "/x"
balancing.update_load_balancer(balancer, description="changed")
assert active(balancer).description == "changed"
assert balancing.get_load_balancer_statistics(balancer.id).bytes_in == 0
assert {each.name for each in balancing.providers()} == {"amphora", "octavia"}

balancing.delete_load_balancer(balancer, cascade=True)
until = time.monotonic() + 30
while balancing.find_load_balancer(balancer.id) is not None:
    assert time.monotonic() < until, "it is still there"
    time.sleep(0.1)
balancing.delete_load_balancer(balancer.id, ignore_missing=True, cascade=True)
