"""The firewalls of IPv4 and IPv6: the same matchers for each table of rules."""

from __future__ import annotations

from tminus.simulator.config.schema import TAIL, Shape, menu

_COUNTERS = "?bytes:num=0 ?packets:num=0 ?invalid:bool"
_STATES = "words|established|invalid|new|related|untracked"
_MATCHERS = (
    "^src-address:net ^dst-address:net ^src-address-list ^dst-address-list ^protocol ^src-port:ports ^dst-port:ports "
    "^port:ports ^in-interface:interface|all-ethernet|all-ppp|all-vlan|all-wireless "
    "^out-interface:interface|all-ethernet|all-ppp|all-vlan|all-wireless ^in-interface-list:iflist ^out-interface-list:iflist "
    f"^connection-state:{_STATES} ^connection-nat-state:words|srcnat|dstnat ^connection-mark ^packet-mark ^routing-mark "
    "^connection-type ^connection-bytes ^connection-rate ^connection-limit ^icmp-options ^tcp-flags ^tcp-mss limit dst-limit ^ipsec-policy "
    "^src-address-type:words|blackhole|broadcast|local|multicast|prohibit|unicast|unreachable "
    "^dst-address-type:words|blackhole|broadcast|local|multicast|prohibit|unicast|unreachable ^src-mac-address:mac "
    "^layer7-protocol content ^ttl ^dscp ^fragment:bool ^hotspot nth random:num[1..99] time ^ingress-priority ^packet-size "
    "per-connection-classifier psd realm routing-table tls-host address-list address-list-timeout jump-target "
    f"log:bool=no log-prefix= {_COUNTERS} {TAIL}"
)
_FILTER = "accept|add-dst-to-address-list|add-src-to-address-list|drop|fasttrack-connection|jump|log|passthrough|reject|return|tarpit"
_MANGLE = (
    "accept|add-dst-to-address-list|add-src-to-address-list|change-dscp|change-mss|change-ttl|clear-df|fasttrack-connection|"
    "jump|log|mark-connection|mark-packet|mark-routing|passthrough|return|route|set-priority|sniff-pc|sniff-tzsp|strip-ipv4-options"
)
_NAT = (
    "accept|add-dst-to-address-list|add-src-to-address-list|dst-nat|endpoint-independent-nat|jump|log|masquerade|netmap|"
    "passthrough|redirect|return|same|src-nat"
)
_RAW = "accept|add-dst-to-address-list|add-src-to-address-list|drop|jump|log|notrack|passthrough|return"
_MARKS = (
    "new-packet-mark new-connection-mark new-routing-mark new-mss new-dscp:num[0..63] new-ttl new-priority route-dst "
    "sniff-target sniff-target-port passthrough:bool=yes"
)
_ENTRY = f"list! address!:hosts timeout:time|none-dynamic|none-static ?creation-time {TAIL}"

MENUS = (
    menu("ip firewall address-list", _ENTRY, unique="address list", noun="address list entry", temporary="timeout"),
    menu("ip firewall connection tracking", "enabled:auto|no|yes=auto tcp-established-timeout:time=1d udp-timeout:time=10s "
         "udp-stream-timeout:time=3m icmp-timeout:time=10s generic-timeout:time=10m loose-tcp-tracking:bool=yes "
         "tcp-syn-sent-timeout:time=5s tcp-syn-received-timeout:time=5s tcp-fin-wait-timeout:time=10s tcp-close-wait-timeout:time=10s "
         "tcp-last-ack-timeout:time=10s tcp-time-wait-timeout:time=10s tcp-close-timeout:time=10s ?total-entries:num=3",
         Shape.SINGLE),
    menu("ip firewall filter", f"chain! +action:{_FILTER}=accept reject-with {_MATCHERS}", noun="filter rule", prose=True),
    menu("ip firewall layer7-protocol", "name! regexp= comment", unique="name"),
    menu("ip firewall mangle", f"chain! +action:{_MANGLE}=accept {_MARKS} {_MATCHERS}", noun="mangle rule", prose=True),
    menu("ip firewall nat", f"chain! +action:{_NAT}=accept to-addresses:net to-ports:ports randomise-ports:bool "
         f"same-not-by-dst:bool {_MATCHERS}",
         noun="nat rule", prose=True),
    menu("ip firewall raw", f"chain! +action:{_RAW}=accept {_MATCHERS}", noun="raw rule", prose=True),
    menu("ip firewall service-port", "-name ports:ports sip-direct-media:bool sip-timeout:time -protocol disabled:bool=no", Shape.FIXED),
    menu("ipv6 firewall address-list", _ENTRY, unique="address list", noun="address list entry", temporary="timeout"),
    menu("ipv6 firewall filter", f"chain! +action:{_FILTER}=accept reject-with ^headers ^hop-limit {_MATCHERS}",
         noun="filter rule", prose=True),
    menu("ipv6 firewall mangle", f"chain! +action:{_MANGLE}=accept new-hop-limit ^headers ^hop-limit {_MARKS} {_MATCHERS}",
         noun="mangle rule", prose=True),
    menu("ipv6 firewall nat", f"chain! +action:{_NAT}=accept to-address:net to-ports:ports {_MATCHERS}", noun="nat rule", prose=True),
    menu("ipv6 firewall raw", f"chain! +action:{_RAW}=accept ^headers ^hop-limit {_MATCHERS}", noun="raw rule", prose=True),
)  # fmt: skip
