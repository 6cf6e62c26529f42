#!/bin/sh
# Stands in for an archiver, and takes also Microsoft's way of naming what is to be made.
for word in "$@"; do
    case $word in
    -out:* | /out:*) exec ar crs "${word#*:}" ;;
    esac
done
exec ar "$@"
