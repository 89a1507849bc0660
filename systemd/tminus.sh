#!/bin/sh
# The command as it is installed (/usr/local/bin/tminus): the current release, with the configuration of this host for
# those who may read it. Everybody else names a database with TMINUS_DATABASE_URL, or a configuration of their own.
if [ -z "${TMINUS_CONFIG-}" ] && [ -z "${TMINUS_DATABASE_URL-}" ] && [ -r /etc/tminus/tminus.toml ]; then
    export TMINUS_CONFIG=/etc/tminus/tminus.toml
fi
exec /opt/tminus/current/bin/tminus "$@"
