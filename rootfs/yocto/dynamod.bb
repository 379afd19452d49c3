# dynamod as a recipe: copy it into a layer, and say in local.conf where dynamod's tree
# is, with what `make cross` there has built:
#
#	DYNAMOD = "/src/dynamod"
#	IMAGE_INSTALL:append = " dynamod"
#
# The program is not built here: it needs a newer Go than the layers have. A board's
# dynamod.toml is put in place of the factory's by DYNAMOD_CONFIG.

SUMMARY = "eSIM cellular gateway"
LICENSE = "Apache-2.0"
LIC_FILES_CHKSUM = "file://${DYNAMOD}/LICENSE;md5=3b83ef96387f14655fc854ddc3c6bd57"
PV = "0"

DYNAMOD_CONFIG ?= "${DYNAMOD}/configs/minimal.toml"

DYNAMOD_BINARY = ""
DYNAMOD_BINARY:aarch64 = "arm64"
DYNAMOD_BINARY:armv7a = "arm-7"
DYNAMOD_BINARY:armv7ve = "arm-7"
DYNAMOD_BINARY:armv6 = "arm-6"
DYNAMOD_BINARY:armv5 = "arm-5"
DYNAMOD_BINARY:mipsel = "mipsle-softfloat"
DYNAMOD_BINARY:mips = "mips-softfloat"
DYNAMOD_BINARY:riscv64 = "riscv64"
DYNAMOD_BINARY:x86-64 = "amd64"

inherit systemd useradd

SYSTEMD_SERVICE:${PN} = "dynamod.service"
USERADD_PACKAGES = "${PN}"
USERADD_PARAM:${PN} = "--system --user-group --groups dialout --home-dir /var/lib/dynamod --no-create-home --shell /sbin/nologin dynamod"

do_configure[noexec] = "1"
do_compile[noexec] = "1"
do_install[file-checksums] += "${DYNAMOD}/bin/dynamod-linux-${DYNAMOD_BINARY}:True"

do_install() {
	install -D -m 0755 ${DYNAMOD}/bin/dynamod-linux-${DYNAMOD_BINARY} ${D}${bindir}/dynamod
	install -D -m 0644 ${DYNAMOD_CONFIG} ${D}${datadir}/dynamod/dynamod.toml
	install -D -m 0644 ${DYNAMOD_CONFIG} ${D}${sysconfdir}/dynamod/dynamod.toml
	install -D -m 0644 ${DYNAMOD}/rootfs/systemd/dynamod.service ${D}${systemd_system_unitdir}/dynamod.service
	install -m 0644 ${DYNAMOD}/rootfs/systemd/dynamod-helper.socket ${DYNAMOD}/rootfs/systemd/dynamod-helper@.service ${D}${systemd_system_unitdir}/
	install -D -m 0644 ${DYNAMOD}/rootfs/udev/60-dynamod.rules ${D}${nonarch_base_libdir}/udev/rules.d/60-dynamod.rules
}

FILES:${PN} += "${datadir}/dynamod ${nonarch_base_libdir}/udev ${systemd_system_unitdir}"
CONFFILES:${PN} = "${sysconfdir}/dynamod/dynamod.toml"
INSANE_SKIP:${PN} += "already-stripped"
