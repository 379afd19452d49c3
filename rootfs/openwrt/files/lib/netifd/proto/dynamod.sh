#!/bin/sh
# proto 'dynamod': the modem's link as netifd's. dynamod dials and says what the network
# assigned, netifd owns the interface. In /etc/config/network:
#
#	config interface 'wwan'
#		option proto 'dynamod'
#		option instance ''	# NAME of /etc/config/dynamod-NAME

# shellcheck disable=SC1091,SC2034
[ -n "$INCLUDE_ONLY" ] || {
	. /lib/functions.sh
	. ../netifd-proto.sh
	init_proto "$@"
}

proto_dynamod_init_config() {
	no_device=1
	available=1
	proto_config_add_string instance
	proto_config_add_defaults
}

proto_dynamod_setup() {
	json_get_vars instance
	# shellcheck disable=SC2154
	proto_run_command "$1" /usr/libexec/dynamod/netifd "$1" "$instance"
}

proto_dynamod_teardown() {
	proto_kill_command "$1"
}

[ -n "$INCLUDE_ONLY" ] || add_protocol dynamod
