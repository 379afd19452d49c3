# dynamod as a BR2_EXTERNAL tree of Buildroot:
#
#	make BR2_EXTERNAL=/src/dynamod/rootfs/buildroot menuconfig
#
# The program is not built here: it needs a newer Go than Buildroot has.

DYNAMOD_VERSION = local
DYNAMOD_SITE = $(BR2_EXTERNAL_DYNAMOD_PATH)/../..
DYNAMOD_SITE_METHOD = local
DYNAMOD_LICENSE = Apache-2.0
DYNAMOD_LICENSE_FILES = LICENSE

DYNAMOD_BINARY = $(strip \
  $(if $(BR2_aarch64),arm64, \
  $(if $(BR2_arm),$(if $(BR2_ARM_CPU_ARMV7A)$(BR2_ARM_CPU_ARMV8A),$(if $(BR2_ARM_CPU_HAS_VFPV3)$(BR2_ARM_CPU_HAS_NEON),arm-7,arm-5), \
    $(if $(BR2_ARM_CPU_ARMV6)$(BR2_ARM_CPU_ARMV6K),$(if $(BR2_ARM_CPU_HAS_VFPV2),arm-6,arm-5),arm-5)), \
  $(if $(BR2_mipsel),mipsle-softfloat, \
  $(if $(BR2_mips),mips-softfloat, \
  $(if $(BR2_RISCV_64),riscv64,amd64))))))

define DYNAMOD_INSTALL_TARGET_CMDS
	$(INSTALL) -D -m 0755 $(@D)/bin/dynamod-linux-$(DYNAMOD_BINARY) $(TARGET_DIR)/usr/bin/dynamod
	$(INSTALL) -D -m 0644 $(or $(call qstrip,$(BR2_PACKAGE_DYNAMOD_CONFIG)),$(@D)/configs/minimal.toml) $(TARGET_DIR)/usr/share/dynamod/dynamod.toml
	$(INSTALL) -D -m 0644 $(@D)/rootfs/overlay/etc/sysctl.d/60-dynamod.conf $(TARGET_DIR)/etc/sysctl.d/60-dynamod.conf
	$(INSTALL) -D -m 0755 $(@D)/rootfs/overlay/etc/nftables.d/dynamod.nft $(TARGET_DIR)/etc/nftables.d/dynamod.nft
endef

define DYNAMOD_INSTALL_INIT_SYSV
	$(INSTALL) -D -m 0755 $(@D)/rootfs/overlay/etc/init.d/S70dynamod $(TARGET_DIR)/etc/init.d/S70dynamod
endef

define DYNAMOD_INSTALL_INIT_SYSTEMD
	$(INSTALL) -D -m 0644 $(@D)/rootfs/systemd/dynamod.service $(TARGET_DIR)/usr/lib/systemd/system/dynamod.service
	$(INSTALL) -m 0644 $(@D)/rootfs/systemd/dynamod-helper.socket $(@D)/rootfs/systemd/dynamod-helper@.service $(TARGET_DIR)/usr/lib/systemd/system/
	$(INSTALL) -D -m 0644 $(@D)/rootfs/udev/60-dynamod.rules $(TARGET_DIR)/usr/lib/udev/rules.d/60-dynamod.rules
	$(INSTALL) -D -m 0644 $(TARGET_DIR)/usr/share/dynamod/dynamod.toml $(TARGET_DIR)/etc/dynamod/dynamod.toml
endef

define DYNAMOD_USERS
	dynamod -1 dynamod -1 * /var/lib/dynamod - dialout dynamod
endef

$(eval $(generic-package))
