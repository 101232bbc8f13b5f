/* config.h for the virtual USB driver of libgphoto2 (vusb.c, vcamera.c), compiled outside its own build on Debian. */
#define HAVE_LIBEXIF 1
#define _GNU_SOURCE 1
#define HAVE_FCNTL_H 1
#define HAVE_SYS_TIME_H 1
#define HAVE_SYS_PARAM_H 1
#define HAVE_UNISTD_H 1
#include <time.h>
#include <sys/types.h>
#define HAVE_SYS_TYPES_H 1
#define GETTEXT_PACKAGE_LIBGPHOTO2_PORT "libgphoto2_port-12"
