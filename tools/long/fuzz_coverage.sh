#!/bin/sh
# What the stored inputs of the fuzz targets reach: at least 95 % of each parser's lines.
exec ./dev fuzz --coverage
