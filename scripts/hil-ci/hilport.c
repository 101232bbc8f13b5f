/*
 * A port driver for libgphoto2 that lists the addresses in $CANDOR_PTPIP as attached cameras: "host:port:eventport", parted by spaces.
 * With "usb:001,004=" before it, a camera is listed by that name, as one on USB would be, and found at its address when it is opened.
 * Debian's build knows PTP/IP but detects no such camera by itself, and the npm package finds cameras by detection alone. The driver
 * moves no bytes: libgphoto2's PTP/IP opens its sockets itself. Built and used by the tests of this folder (IOLIBS names its folder).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <gphoto2/gphoto2-port-info-list.h>
#include <gphoto2/gphoto2-port-result.h>
#include <gphoto2/gphoto2-port.h>

/* What a driver is made of stands in none of the installed headers [libgphoto2 2.5.30, gphoto2/gphoto2-port-library.h]. */
typedef struct {
	int (*init)(GPPort *);
	int (*exit)(GPPort *);
	int (*open)(GPPort *);
	int (*close)(GPPort *);
	int (*read)(GPPort *, char *, int);
	int (*check_int)(GPPort *, char *, int, int);
	int (*write)(GPPort *, const char *, int);
	int (*update)(GPPort *);
	/* 19 more, for serial, USB and SCSI; room for those of a later version. */
	void *others[64];
} Operations;

int gp_port_info_new(GPPortInfo *info);
int gp_port_info_set_type(GPPortInfo info, GPPortType type);
int gp_port_info_set_name(GPPortInfo info, const char *name);
int gp_port_info_set_path(GPPortInfo info, const char *path);

static void add(GPPortInfoList *list, const char *name, const char *path)
{
	GPPortInfo info;

	gp_port_info_new(&info);
	gp_port_info_set_type(info, GP_PORT_PTPIP);
	gp_port_info_set_name(info, name);
	gp_port_info_set_path(info, path);
	gp_port_info_list_append(list, info);
}

GPPortType gp_port_library_type(void)
{
	return GP_PORT_PTPIP;
}

int gp_port_library_list(GPPortInfoList *list)
{
	const char *given = getenv("CANDOR_PTPIP");
	char *addresses, *address, *rest, path[256];

	/* What any other address of this kind looks like. */
	add(list, "", "^ptpip:");
	if (given == NULL)
		return GP_OK;
	addresses = strdup(given);
	for (address = strtok_r(addresses, " ", &rest); address != NULL; address = strtok_r(NULL, " ", &rest)) {
		if (strchr(address, '=') != NULL)
			snprintf(path, sizeof path, "%.*s", (int)(strchr(address, '=') - address), address);
		else
			snprintf(path, sizeof path, "ptpip:%s", address);
		add(list, "PTP/IP on this machine", path);
	}
	free(addresses);
	return GP_OK;
}

/* The port's own copy of its name becomes the address that libgphoto2 then connects to. */
static int find(GPPort *port)
{
	const char *given = getenv("CANDOR_PTPIP");
	char *addresses, *address, *rest, *name, path[256];
	GPPortInfo info;

	if (given == NULL || gp_port_get_info(port, &info) < GP_OK || gp_port_info_get_path(info, &name) < GP_OK)
		return GP_OK;
	addresses = strdup(given);
	for (address = strtok_r(addresses, " ", &rest); address != NULL; address = strtok_r(NULL, " ", &rest)) {
		char *to = strchr(address, '=');

		if (to == NULL || strlen(name) != (size_t)(to - address) || strncmp(name, address, to - address) != 0)
			continue;
		snprintf(path, sizeof path, "ptpip:%s", to + 1);
		gp_port_info_set_path(info, path);
		break;
	}
	free(addresses);
	return GP_OK;
}

static int nothing(GPPort *port)
{
	return GP_OK;
}

static int read_nothing(GPPort *port, char *bytes, int size)
{
	return GP_OK;
}

static int write_nothing(GPPort *port, const char *bytes, int size)
{
	return GP_OK;
}

Operations *gp_port_library_operations(void)
{
	Operations *operations = calloc(1, sizeof *operations);

	operations->open = find;
	operations->init = operations->exit = operations->close = operations->update = nothing;
	operations->read = read_nothing;
	operations->write = write_nothing;
	return operations;
}
