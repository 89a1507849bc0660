"""``/ip`` and ``/ipv6`` without their firewalls."""

from __future__ import annotations

from tminus.simulator.config.schema import DISABLED, TAIL, Selector, Shape, menu

POOLS = (
    menu("ip dhcp-server option", "name! code!:num[1..254] value= force:bool=no comment ?raw-value", unique="name"),
    menu("ip ipsec profile", "name! dh-group:list=modp2048,modp1024 enc-algorithm:list=aes-128,3des hash-algorithm=sha1 lifetime:time=1d "
         "dpd-interval=2m dpd-maximum-failures:num=5 nat-traversal:bool=yes proposal-check=obey ?default:bool", unique="name",
         selector=Selector.DEFAULT),
    menu("ip ipsec proposal", "name! auth-algorithms:list=sha1 enc-algorithms:list=aes-256-cbc,aes-192-cbc,aes-128-cbc lifetime=30m "
         f"pfs-group=modp1024 ?default:bool {DISABLED}", unique="name", selector=Selector.DEFAULT),
    menu("ip hotspot profile", "name! hotspot-address:address=0.0.0.0 dns-name= html-directory=hotspot login-by:list=cookie,http-chap "
         "use-radius:bool=no ?default:bool", unique="name", selector=Selector.DEFAULT),
    menu("ip hotspot user profile", "name! shared-users=1 rate-limit= session-timeout idle-timeout=none keepalive-timeout=2m "
         "?default:bool", unique="name", selector=Selector.DEFAULT),
    menu("ip pool", "name ranges!:range next-pool:pool|none=none comment", unique="name", auto="pool",
         duplicate="failure: pool with such name already exists"),
    menu("ip dhcp-server", "name interface!:interface address-pool:pool|static-only=static-only lease-time:time=30m lease-script= "
         "authoritative:after-10sec-delay|after-2sec-delay|no|yes=yes relay:address=0.0.0.0 add-arp:bool=no delay-threshold=none "
         f"bootp-support:none|dynamic|static=static server-address:address=0.0.0.0 use-radius:yes|no|accounting=no ?invalid:bool {TAIL}",
         unique="interface relay", auto="dhcp", duplicate="failure: server with such interface already exists"),
)  # fmt: skip

MENUS = (
    menu("ip neighbor discovery-settings", "^discover-interface-list:iflist=static protocol:list=cdp,lldp,mndp "
         "mode:rx-only|tx-only|tx-and-rx=tx-and-rx lldp-mac-phy-config:bool=no", Shape.SINGLE),
    menu("ip settings", "ip-forward:bool=yes send-redirects:bool=yes accept-redirects:bool=no accept-source-route:bool=no "
         "secure-redirects:bool=yes rp-filter:loose|no|strict=no tcp-syncookies:bool=no max-neighbor-entries:num "
         "allow-fast-path:bool=yes route-cache:bool arp-timeout=30s icmp-rate-limit:num[0..4294967295]=10", Shape.SINGLE),
    menu("ipv6 settings", "disable-ipv6:bool=no forward:bool=yes accept-redirects:yes|no|yes-if-forwarding-disabled="
         "yes-if-forwarding-disabled accept-router-advertisements:yes|no|yes-if-forwarding-disabled=yes-if-forwarding-disabled",
         Shape.SINGLE),
    menu("ip address", "address!:prefix netmask:address network:address broadcast:address interface!:interface ?actual-interface "
         f"?invalid:bool ?slave:bool {TAIL}", unique="address interface", duplicate="failure: already have such address"),
    menu("ip arp", f"address!:address interface!:interface mac-address!:mac published:bool=no ?complete:bool {TAIL}",
         unique="address interface", duplicate="failure: already have such address"),
    menu("ip cloud", "ddns-enabled:yes|no|auto=auto ddns-update-interval=none update-time:bool=yes ?public-address ?dns-name ?status",
         Shape.SINGLE),
    menu("ip dhcp-client option", "name! code!:num[1..254] value= comment", unique="name"),
    menu("ip dhcp-client", "interface!:interface add-default-route:yes|no|special-classless=yes use-peer-dns:yes|no|exclusively=yes "
         "use-peer-ntp:bool=yes default-route-distance:num[0..255]=1 dhcp-options:list=hostname,clientid script= allow-reconfigure:bool=no "
         "?status=searching... ?address ?gateway ?dhcp-server ?primary-dns ?secondary-dns ?expires-after:time ?invalid:bool "
         f"default-route-tables=default {TAIL}", unique="interface", duplicate="failure: dhcp-client on that interface already exists"),
    menu("ip dhcp-server lease", "address:host mac-address:mac client-id= server=all address-lists:list= lease-time:time dhcp-option:list= "
         "rate-limit block-access:bool=no always-broadcast:bool=no use-src-mac:bool=no ?status=waiting ?host-name ?active-address "
         f"?active-mac-address ?active-server ?last-seen ?expires-after:time {TAIL}", unique="mac-address client-id server",
         duplicate="failure: already have static lease with this mac address", noun="dhcp lease"),
    menu("ip dhcp-server network", "address!:network gateway:list dns-server:list domain ntp-server:list wins-server:list "
         "netmask:num[0..32] "
         "boot-file-name next-server dhcp-option:list caps-manager:list dns-none:bool=no comment", unique="address",
         duplicate="failure: already have such network"),
    menu("ip dns", "servers:hosts= allow-remote-requests:bool=no cache-size:size=2048KiB cache-max-ttl:time=1w max-udp-packet-size:"
         "num[50..65507]=4096 query-server-timeout:time=2s query-total-timeout:time=10s max-concurrent-queries:num=100 "
         "max-concurrent-tcp-sessions:num=20 use-doh-server= verify-doh-cert:bool=no doh-timeout:time=5s address-list-extra-time:time=0s "
         "-dynamic-servers:list= -cache-used:size=48KiB", Shape.SINGLE),
    menu("ip dns static", "name address:address cname text mx-exchange mx-preference:num ns type:A|AAAA|CNAME|MX|NS|NXDOMAIN|SRV|TXT|FWD=A "
         "srv-port:num srv-priority:num srv-target srv-weight:num regexp forward-to match-subdomain:bool=no address-list "
         f"ttl:time=1d {TAIL}", unique="name address regexp type cname text mx-exchange ns srv-target",
         duplicate="failure: entry already exists", noun="static dns entry"),
    menu("ip dns forwarders", f"name! dns-servers:hosts= doh-servers= verify-doh-cert:bool=yes {TAIL}", unique="name"),
    menu("ip proxy", "enabled:bool=no port:num[0..65535]=8080 src-address=:: cache-administrator=webmaster max-cache-size=unlimited",
         Shape.SINGLE),
    menu("ip route", "dst-address:network=0.0.0.0/0 gateway distance:num[1..255]=1 routing-table:table=main scope:num[0..255]=30 "
         "target-scope:num[0..255]=10 check-gateway:none|arp|ping|bfd|bfd-multihop=none pref-src:address blackhole:flag vrf-interface "
         f"suppress-hw-offload:bool=no ?active:bool ?static:bool ?connect:bool ?immediate-gw {TAIL}", noun="route",
         columns="dst-address gateway routing-table distance"),
    menu("ip service", f"-name port:num[1..65535] address:nets= certificate=none tls-version:any|only-1.2=any max-sessions:num[1..1000]=20 "
         f"vrf=main ?invalid:bool -proto {DISABLED}", Shape.FIXED, noun="service"),
    menu("ip smb", "enabled:auto|no|yes=auto domain=MSHOME comment=MikrotikSMB interfaces=all", Shape.SINGLE),
    menu("ip socks", "enabled:bool=no port:num[1..65535]=1080 version:num[4..5]=4 auth-method:none|password=none", Shape.SINGLE),
    menu("ip ssh", "strong-crypto:bool=no forwarding-enabled:both|local|no|remote=no host-key-size=2048 host-key-type:ed25519|rsa=rsa "
         "always-allow-password-login:bool=no password-authentication:yes|no|yes-if-no-key=yes-if-no-key "
         "allow-none-crypto:bool=no ciphers=auto", Shape.SINGLE),
    menu("ip traffic-flow", "enabled:bool=no interfaces=all cache-entries=4k active-flow-timeout:time=30m inactive-flow-timeout:time=15s",
         Shape.SINGLE),
    menu("ip upnp", "enabled:bool=no allow-disable-external-interface:bool=no show-dummy-rule:bool=yes", Shape.SINGLE),
    menu("ip upnp interfaces", f"interface!:interface type!:external|internal forced-ip {DISABLED}", unique="interface"),
    menu("ipv6 address", "address!:prefix interface!:interface advertise:bool=yes eui-64:bool=no no-dad:bool=no from-pool= "
         f"?link-local:bool ?global:bool {TAIL}", unique="address interface", duplicate="failure: already have such address"),
    menu("ipv6 dhcp-client", "interface!:interface request!:list pool-name= pool-prefix-length:num[0..128]=64 add-default-route:bool=no "
         f"use-peer-dns:bool=yes prefix-hint=::/0 script= ?status=searching... ?prefix ?address {TAIL}", unique="interface"),
    menu("ipv6 nd", "interface!:interface|all ra-interval=3m20s-10m ra-lifetime:time=30m managed-address-configuration:bool=no "
         f"other-configuration:bool=no advertise-dns:bool=yes advertise-mac-address:bool=yes mtu=unspecified {TAIL}", unique="interface",
         selector=Selector.DEFAULT),
    menu("ipv6 pool", "name! prefix!:network prefix-length!:num[0..128] comment", unique="name"),
    menu("ipv6 route", "dst-address:network=::/0 gateway distance:num[1..255]=1 routing-table:table=main scope:num[0..255]=30 "
         f"target-scope:num[0..255]=10 check-gateway:none|arp|ping|bfd=none blackhole:flag ?active:bool {TAIL}", noun="route"),
)  # fmt: skip
