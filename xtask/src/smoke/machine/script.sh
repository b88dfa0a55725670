#!/bin/busybox sh
# A program that only its first line makes one: the kernel hands it to an interpreter of the other platform.
echo "script $# $1"
