"""``/interface`` and what lies below it. In the order in which an export prints them."""

from __future__ import annotations

from tminus.simulator.config.schema import TAIL, Selector, Shape, interface, menu

_ARP = "arp:disabled|enabled|local-proxy-arp|proxy-arp|reply-only=enabled arp-timeout=auto"
_STATE = (
    "?running:bool ?slave:bool ?invalid:bool ?actual-mtu:num ?last-link-up-time ?link-downs:num=0 ?rx-byte:num=0 ?tx-byte:num=0 "
    "?rx-packet:num=0 ?tx-packet:num=0 ?rx-error:num=0 ?tx-error:num=0 ?rx-drop:num=0 ?tx-drop:num=0"
)
_TUNNEL = (
    f"mtu=auto local-address:host=0.0.0.0 remote-address!:host keepalive dscp=inherit clamp-tcp-mss:bool=yes {TAIL}"
)
_CLIENT = f"connect-to!:host user! #password profile:profile=default add-default-route:bool=no {TAIL}"

KINDS_OF = {
    "bridge": "bridge", "ethernet": "ether", "vlan": "vlan", "wireguard": "wg", "bonding": "bond", "vrrp": "vrrp",
    "eoip": "eoip", "gre": "gre-tunnel", "ipip": "ipip-tunnel", "6to4": "6to4-tunnel", "pppoe-client": "pppoe-out",
    "l2tp-client": "l2tp-out", "sstp-client": "sstp-out", "ovpn-client": "ovpn-out", "pptp-client": "pptp-out",
    "vxlan": "vxlan", "macvlan": "macvlan", "veth": "veth",
}  # fmt: skip
"""What ``/interface`` calls the type of an interface, by the menu that keeps it."""

MENUS = (
    interface(
        "interface bridge",
        f"name mtu:num[68..65535]|auto=auto {_ARP} protocol-mode:none|rstp|stp|mstp=rstp vlan-filtering:bool=no admin-mac:mac "
        "auto-mac:bool=yes igmp-snooping:bool=no dhcp-snooping:bool=no fast-forward:bool=yes ageing-time:time=5m "
        "priority=0x8000 pvid:num[1..4094]=1 ether-type:0x8100|0x88a8|0x9100=0x8100 ingress-filtering:bool=yes "
        "frame-types:admit-all|admit-only-untagged-and-priority-tagged|admit-only-vlan-tagged=admit-all "
        f"forward-delay:time=15s max-message-age:time=20s transmit-hold-count:num[1..10]=6 -mac-address:mac {_STATE} {TAIL}",
    ),
    interface(
        "interface ethernet",
        f"name -default-name mtu:num[68..65535]=1500 l2mtu:num[0..65535] mac-address:mac {_ARP} auto-negotiation:bool=yes speed "
        "advertise rx-flow-control:on|off|auto=off tx-flow-control:on|off|auto=off loop-protect:default|on|off=default "
        f"?orig-mac-address:mac {_STATE} {TAIL}",
        Shape.FIXED,
        selector=Selector.DEFAULT_NAME,
    ),
    interface("interface eoip", f"name tunnel-id!:num[0..65535] ?mac-address:mac {_STATE} {_TUNNEL}", auto="eoip-tunnel"),
    interface("interface gre", f"name {_STATE} {_TUNNEL}", auto="gre-tunnel"),
    interface("interface ipip", f"name {_STATE} {_TUNNEL}", auto="ipip-tunnel"),
    interface(
        "interface bonding",
        "name slaves!:interfaces mode:balance-rr|active-backup|balance-xor|broadcast|802.3ad|balance-tlb|balance-alb=balance-rr "
        "primary=none mtu:num[68..65535]=1500 link-monitoring:none|arp|mii=mii lacp-rate:30secs|1sec=30secs "
        f"transmit-hash-policy:layer-2|layer-2-and-3|layer-3-and-4|encap-2-and-3|encap-3-and-4=layer-2 {_ARP} {_STATE} {TAIL}",
    ),
    interface("interface wireguard", f"name listen-port:num[0..65535] mtu:num[0..65535]=1420 #private-key -public-key {_STATE} {TAIL}"),
    interface(
        "interface vlan",
        "name interface!:interface vlan-id!:num[1..4094] mtu:num[68..65535]=1500 use-service-tag:bool=no "
        f"mvrp:bool=no ?mac-address:mac {_ARP} {_STATE} {TAIL}",
    ),
    interface(
        "interface vrrp",
        "name interface!:interface vrid:num[1..255]=1 priority:num[1..254]=100 interval:time=1s preemption-mode:bool=yes "
        f"version:num[2..3]=3 authentication:ah|none|simple=none #password= on-master= on-backup= on-fail= {_STATE} {TAIL}",
    ),
    interface("interface pppoe-client", f"name interface!:interface service-name= ac-name= use-peer-dns:yes|no|exclusively=no "
              f"default-route-distance:num[0..255]=1 dial-on-demand:bool=no allow=pap,chap,mschap1,mschap2 ?status {_STATE} "
              f"user= #password profile:profile=default add-default-route:bool=no max-mtu=auto max-mru=auto mrru=disabled "
              f"keepalive-timeout=10 {TAIL}", auto="pppoe-out"),
    interface("interface l2tp-client", f"name use-ipsec:bool=no #ipsec-secret= {_STATE} {_CLIENT}",
              auto="l2tp-out"),
    interface("interface pptp-client", f"name {_STATE} {_CLIENT}",
              auto="pptp-out"),
    interface("interface sstp-client", f"name port:num[0..65535]=443 certificate=none {_STATE} {_CLIENT}",
              auto="sstp-out"),
    interface("interface ovpn-client", f"name port:num[0..65535]=1194 certificate=none ?mac-address:mac {_STATE} {_CLIENT}",
              auto="ovpn-out"),
    interface("interface vxlan", f"name vni!:num[1..16777216] port:num[0..65535]=8472 mtu:num[68..65535]=1500 {_STATE} {TAIL}"),
    interface("interface veth", f"name address:list gateway {_STATE} {TAIL}"),
    menu("interface list", "name! include:iflists= exclude:iflists= comment -builtin:bool", unique="name",
         duplicate="failure: already have interface list with such name"),
)  # fmt: skip

MEMBERS = (
    menu("interface bridge port", "bridge!:bridge interface!:interface|all pvid:num[1..4094]=1 hw:bool=yes priority=0x80 "
         "path-cost internal-path-cost edge:auto|no|no-discover|yes|yes-discover=auto point-to-point:auto|yes|no=auto "
         "learn:auto|yes|no=auto horizon=none trusted:bool=no multicast-router:disabled|permanent|temporary-query=temporary-query "
         "frame-types:admit-all|admit-only-untagged-and-priority-tagged|admit-only-vlan-tagged=admit-all bpdu-guard:bool=no "
         f"ingress-filtering:bool=yes restricted-role:bool=no restricted-tcn:bool=no tag-stacking:bool=no ?inactive:bool {TAIL}",
         unique="interface", columns="interface bridge hw pvid priority path-cost internal-path-cost horizon",
         duplicate="failure: device already added as bridge port", noun="bridge port"),
    menu("interface bridge vlan", f"bridge!:bridge vlan-ids!:ports[1..4094] tagged:interfaces= untagged:interfaces= "
         f"?current-tagged ?current-untagged {TAIL}",
         unique="bridge vlan-ids", duplicate="failure: vlan already added", noun="bridge vlan"),
    menu("interface list member", f"interface!:interface list!:iflist {TAIL}", unique="interface list",
         duplicate="failure: already have such entry", noun="interface list member"),
    menu("interface wireguard peers", "name interface!:interface public-key! #preshared-key #private-key endpoint-address= "
         "endpoint-port:num[0..65535] allowed-address!:nets persistent-keepalive:time responder:bool=no client-address "
         f"?last-handshake:time ?rx:num=0 ?tx:num=0 ?current-endpoint-address {TAIL}", unique="interface public-key", auto="peer",
         noun="wireguard peer"),
    menu("interface l2tp-server server", "enabled:bool=no default-profile:profile=default-encryption max-mtu=1450 max-mru=1450 "
         "use-ipsec:yes|no|required=no #ipsec-secret= authentication:list=pap,chap,mschap1,mschap2 one-session-per-host:bool=no",
         Shape.SINGLE),
    menu("interface pptp-server server", "enabled:bool=no default-profile:profile=default-encryption", Shape.SINGLE),
    menu("interface sstp-server server", "enabled:bool=no default-profile:profile=default port:num[0..65535]=443 certificate=none",
         Shape.SINGLE),
    menu("interface pppoe-server server", "service-name= interface!:interface default-profile:profile=default "
         f"one-session-per-host:bool=no max-sessions=unlimited authentication:list=pap,chap,mschap1,mschap2 {TAIL}",
         unique="service-name interface"),
    menu("interface detect-internet", "detect-interface-list:iflist=none lan-interface-list:iflist=none wan-interface-list:iflist=none "
         "internet-interface-list:iflist=none", Shape.SINGLE),
)  # fmt: skip

VIEWS = (
    menu("interface", f"name -default-name -type mtu -mac-address:mac {_STATE} {TAIL}", Shape.FIXED, exported=False,
         columns="name type actual-mtu mac-address"),
)  # fmt: skip
