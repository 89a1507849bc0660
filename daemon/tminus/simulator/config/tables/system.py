"""``/system``, ``/user``, ``/tool``, ``/ppp``, ``/queue``, ``/snmp``, ``/routing``: all but interfaces and addresses."""

from __future__ import annotations

from tminus.simulator.config.schema import DISABLED, TAIL, Selector, Shape, menu

PROFILES = (
    menu("ppp profile", "name! local-address remote-address bridge dns-server:list wins-server:list rate-limit= idle-timeout "
         "session-timeout only-one:default|no|yes=default change-tcp-mss:default|no|yes=default use-encryption:default|no|required|yes="
         "default use-compression:default|no|yes=default use-mpls:default|no|require|yes=default use-ipv6:default|no|require|yes=yes "
         "use-upnp:default|no|yes=default address-list= interface-list on-up= on-down= incoming-filter= outgoing-filter= "
         "?default:bool comment", unique="name", duplicate="failure: profile with the same name already exists", selector=Selector.ID),
    menu("queue type", "name! kind!:bfifo|codel|cake|fq-codel|mq-pfifo|none|pcq|pfifo|red|sfq pfifo-limit:num bfifo-limit:num "
         "mq-pfifo-limit:num pcq-rate pcq-limit pcq-classifier:list pcq-total-limit sfq-perturb:num sfq-allot:num ?default:bool",
         unique="name", duplicate="failure: already have such name", selector=Selector.PLACE),
    menu("queue simple", "name target!:list dst parent=none packet-marks:list= priority:rate=8/8 queue=default-small/default-small "
         "limit-at:rate=0/0 max-limit:rate=0/0 burst-limit:rate=0/0 burst-threshold:rate=0/0 burst-time=0s/0s bucket-size=0.1/0.1 time "
         f"?rate=0bps/0bps ?bytes=0/0 ?packets=0/0 ?total-bytes:num=0 {TAIL}", unique="name", auto="queue",
         duplicate="failure: already have such name", noun="simple queue"),
    menu("queue tree", "name parent! packet-mark:list= priority:num[1..8]=8 queue=default-small limit-at:rate=0 max-limit:rate=0 "
         f"burst-limit:rate=0 burst-threshold:rate=0 burst-time:time=0s bucket-size=0.1 ?bytes:num=0 ?packets:num=0 {TAIL}",
         unique="name", duplicate="failure: already have such name", auto="queue"),
    menu("routing table", f"name! fib:flag {TAIL}", unique="name", selector=Selector.NAME),
    menu("snmp community", "name! addresses:nets=::/0 security:authorized|none|private=none read-access:bool=yes write-access:bool=no "
         "authentication-protocol:MD5|SHA1=MD5 #authentication-password= encryption-protocol:AES|DES=DES #encryption-password= "
         f"?default:bool {TAIL}", unique="name", selector=Selector.DEFAULT),
    menu("system logging action", "name! target!:disk|echo|email|memory|remote memory-lines:num[1..65535] memory-stop-on-full:bool "
         "disk-lines-per-file:num disk-file-count:num disk-file-name remember:bool remote:host=0.0.0.0 remote-port:num[0..65535] "
         "src-address:address bsd-syslog:bool syslog-facility syslog-severity email-to ?default:bool", unique="name",
         selector=Selector.PLACE),
    menu("user group", "name! policy:policy skin=default comment ?default:bool", unique="name", selector=Selector.NAME),
)  # fmt: skip

MENUS = (
    menu("ppp aaa", "use-radius:bool=no accounting:bool=yes interim-update:time=0s", Shape.SINGLE),
    menu("ppp secret", "name! #password= service:any|async|l2tp|ovpn|pppoe|pptp|sstp=any profile:profile=default caller-id= "
         "local-address remote-address routes= limit-bytes-in:num=0 limit-bytes-out:num=0 remote-ipv6-prefix ?last-logged-out "
         f"{TAIL}", unique="name service", duplicate="failure: secret with the same name already exists"),
    menu("radius", "service:list= address!:host #secret= timeout:time=300ms authentication-port:num[0..65535]=1812 "
         f"accounting-port:num[0..65535]=1813 src-address:address=0.0.0.0 domain= realm= {TAIL}", noun="radius server"),
    menu("routing rule", "action:drop|lookup|lookup-only-in-table|unreachable=lookup src-address:network dst-address:network "
         f"routing-mark table:table interface:interface min-prefix:num {TAIL}"),
    menu("routing ospf instance", f"name version:num[2..3]=2 router-id redistribute:list= vrf=main {TAIL}", unique="name",
         auto="ospf-instance-"),
    menu("routing ospf area", f"name instance! area-id=0.0.0.0 type:default|nssa|stub=default {TAIL}", unique="name", auto="ospf-area-"),
    menu("snmp", "enabled:bool=no contact= location= engine-id-suffix= src-address=:: trap-target:list= trap-community=public "
         "trap-version:num[1..3]=1 trap-generators:list=temp-exception trap-interfaces= vrf=main", Shape.SINGLE),
    menu("system clock", "time-zone-name=manual time-zone-autodetect:bool=yes -date "
         "-time:time -gmt-offset ?dst-active:bool=no", Shape.SINGLE),
    menu("system identity", "name=MikroTik", Shape.SINGLE),
    menu("system logging", f"topics:list=info action=memory prefix= regex= {DISABLED} ?default:bool", selector=Selector.PLACE),
    menu("system note", "note= show-at-login:bool=yes show-at-cli-login:bool=no", Shape.SINGLE),
    menu("system ntp client", "enabled:bool=no servers:hosts= mode:broadcast|manycast|multicast|unicast=unicast vrf=main "
         "?status=stopped ?synced-server", Shape.SINGLE),
    menu("system ntp client servers", f"address!:host min-poll:num[3..17]=6 max-poll:num[3..17]=10 iburst:bool=yes auth-key=none {TAIL}",
         unique="address"),
    menu("system ntp server", "enabled:bool=no broadcast:bool=no multicast:bool=no manycast:bool=no use-local-clock:bool=no",
         Shape.SINGLE),
    menu("system routerboard settings", "auto-upgrade:bool=no boot-device=nand-if-fail-then-ethernet cpu-frequency boot-protocol=bootp "
         "force-backup-booter:bool=no protected-routerboot=disabled silent-boot:bool=no", Shape.SINGLE),
    menu("system scheduler", "name! interval:time=0s on-event= start-date start-time policy:policy days -owner -run-count:num "
         f"-next-run {TAIL}", unique="name", duplicate="failure: item with this name already exists", noun="schedule"),
    menu("system script", "name source= policy:policy -owner -last-started -run-count:num comment "
         "dont-require-permissions:bool=no ?invalid:bool", unique="name", auto="script",
         duplicate="failure: item with this name already exists"),
    menu("system upgrade mirror", "enabled:bool=no", Shape.SINGLE),
    menu("system watchdog", "watchdog-timer:bool=yes watch-address=none automatic-supout:bool=yes auto-send-supout:bool=no "
         "ping-start-after-boot:time=5m ping-timeout:time=1m", Shape.SINGLE),
    menu("tool bandwidth-server", "enabled:bool=yes authenticate:bool=yes max-sessions:num=100", Shape.SINGLE),
    menu("tool e-mail", "server:host=0.0.0.0 port:num[0..65535]=25 from=<> user= #password= tls:no|starttls|yes=no vrf=main",
         Shape.SINGLE),
    menu("tool mac-server", "^allowed-interface-list:iflist=all", Shape.SINGLE),
    menu("tool mac-server mac-winbox", "^allowed-interface-list:iflist=all", Shape.SINGLE),
    menu("tool mac-server ping", "enabled:bool=yes", Shape.SINGLE),
    menu("tool netwatch", "name host!:host type:dns|http-get|https-get|icmp|simple|tcp-conn=simple interval:time=10s timeout:time=3s "
         "up-script= down-script= test-script= src-address port:num[0..65535] packet-count:num packet-interval:time start-delay:time=3s "
         f"thr-max:time thr-avg:time thr-loss-count:num ?status=unknown ?since ?done-tests:num=0 ?failed-tests:num=0 {TAIL}",
         noun="netwatch host"),
    menu("tool romon", "enabled:bool=no id:mac=00:00:00:00:00:00 #secrets=", Shape.SINGLE),
    menu("tool sniffer", "filter-interface:list= filter-ip-address:list= file-name= file-limit=1000KiB memory-limit=100KiB "
         "streaming-enabled:bool=no streaming-server=0.0.0.0:37008", Shape.SINGLE),
    menu("user", f"name! group!:group #password! address:nets= inactivity-timeout:time=10m ?last-logged-in {TAIL}", unique="name",
         exported=False, duplicate="failure: user with the same name already exists"),
    menu("user aaa", "use-radius:bool=no accounting:bool=yes interim-update:time=0s default-group:group=read", Shape.SINGLE),
    menu("user settings", "minimum-password-length:num=0 minimum-categories:num=0", Shape.SINGLE),
)  # fmt: skip

VIEWS = (
    menu("system device-mode", "mode scheduler:bool", Shape.VIEW),
    menu("file", "name -type -size:size -creation-time -last-modified contents", exported=False),
    menu("log", "time topics message", Shape.VIEW),
    menu("system resource", "uptime:time version build-time factory-software free-memory:size total-memory:size cpu "
         "cpu-count:num cpu-frequency:num cpu-load:num free-hdd-space:size total-hdd-space:size architecture-name "
         "board-name platform", Shape.VIEW),
    menu("system routerboard", "routerboard:bool board-name model serial-number firmware-type factory-firmware "
         "current-firmware upgrade-firmware", Shape.VIEW),
    menu("system license", "software-id nlevel features system-id level", Shape.VIEW),
    menu("system package", "name version build-time scheduled size disabled:bool", Shape.VIEW),
    menu("system package update", "channel installed-version latest-version status", Shape.VIEW),
    menu("system history", "action by policy time redo undo", Shape.VIEW),
    menu("system script job", "script owner policy started type parent", Shape.VIEW),
    menu("system script environment", "-name value -user", Shape.FIXED, exported=False),
)  # fmt: skip

SINGLE_VIEWS = frozenset(
    {
        ("system", "resource"),
        ("system", "routerboard"),
        ("system", "license"),
        ("system", "device-mode"),
        ("system", "package", "update"),
    }
)
"""Views of one row, printed as ``key: value`` lines."""
