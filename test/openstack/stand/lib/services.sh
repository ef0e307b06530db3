# Sourced by up and restart: how each service is started.
start_service() {
  case $1 in
    keystone) uwsgi_up keystone $KEYSTONE_PORT 2 keystone.wsgi.api:application ;;
    placement) uwsgi_up placement $PLACEMENT_PORT 1 placement.wsgi.api:application ;;
    glance) uwsgi_up glance $GLANCE_PORT 1 /usr/bin/glance-wsgi-api ;;
    barbican) uwsgi_up barbican $BARBICAN_PORT 1 /usr/bin/barbican-wsgi-api ;;
    neutron) uwsgi_up neutron $NEUTRON_PORT 2 neutron.wsgi.api:application OS_NEUTRON_CONFIG_FILES="/etc/neutron/neutron.conf;/etc/neutron/plugins/ml2/ml2_conf.ini" ;;
    neutron-rpc) start neutron-rpc neutron-rpc-server --config-file /etc/neutron/neutron.conf --config-file /etc/neutron/plugins/ml2/ml2_conf.ini ;;
    nova) uwsgi_up nova $NOVA_PORT 2 nova.wsgi.osapi_compute:application ;;
    nova-conductor) start nova-conductor python3 -c 'import sys; sys.argv[0]="nova-conductor"; from nova.cmd.conductor import main; main()' --config-file /etc/nova/nova.conf ;;
    nova-scheduler) start nova-scheduler python3 -c 'import sys; sys.argv[0]="nova-scheduler"; from nova.cmd.scheduler import main; main()' --config-file /etc/nova/nova.conf ;;
    nova-compute*) start $1 env OSTACK_VFS_PER_PF="$OSTACK_VFS_PER_PF" python3 /usr/local/lib/ostack/fake_compute.py --config-file /etc/nova/nova-nodb.conf --config-file /etc/nova/compute${1#nova-compute}.conf ;;
    fake-agents) start fake-agents env OSTACK_RUN=$RUN python3 /usr/local/lib/ostack/fake_agents.py "$OSTACK_COMPUTES" $SOCK "$ADMIN_PASS" --config-file /etc/neutron/neutron.conf ;;
    *) die "no service $1" ;;
  esac
}
