//! Networks with routers in between: people at home behind NAT, an internet with servers, links that
//! lose packets. All of it network namespaces of Linux, which need root and are gone when dropped.

use std::{
    ffi::OsStr,
    fs::{self, File},
    net::{Ipv4Addr, SocketAddrV4},
    os::fd::AsFd,
    process::Command,
    sync::atomic::{AtomicU32, Ordering::Relaxed},
    thread,
};

use anyhow::{Context, Result, anyhow, ensure};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// A computer on its own: no network but the links that it is given.
#[derive(Debug)]
pub struct Namespace {
    name: String,
}

impl Namespace {
    /// One with a loopback device and nothing else.
    ///
    /// # Errors
    /// Without root's rights, or without `ip` or `iptables`.
    pub fn new() -> Result<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Relaxed);
        let name = format!("ntn{:x}-{number}", std::process::id());
        run(Command::new("ip").args(["netns", "add", &name]))
            .context("can't make a network namespace, which needs root's rights")?;
        let namespace = Self { name };
        namespace.inside(|| fs::write("/proc/sys/net/ipv6/conf/all/disable_ipv6", "1"))??;
        namespace.ip(&["link", "set", "lo", "up"])?;
        for (chain, from) in [("LOSS", "INPUT"), ("CUT", "FORWARD")] {
            namespace.iptables(&["-N", chain])?;
            namespace.iptables(&["-A", from, "-j", chain])?;
        }
        Ok(namespace)
    }

    /// A command that runs there. Files and local sockets are those of this machine.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name]).arg(program);
        command
    }

    /// Runs `body` on a thread that is there. Sockets that it opens stay there, wherever they are used
    /// afterwards.
    ///
    /// # Errors
    /// When it can't get there, or panics.
    pub fn inside<T: Send>(&self, body: impl FnOnce() -> T + Send) -> Result<T> {
        let place = File::open(format!("/run/netns/{}", self.name))?;
        let work = || -> Result<T> {
            move_into_link_name_space(place.as_fd(), Some(LinkNameSpaceType::Network))
                .context("can't enter a network namespace")?;
            Ok(body())
        };
        let done = thread::scope(|scope| scope.spawn(work).join());
        done.map_err(|_| anyhow!("what was to be done in a network namespace panicked"))?
    }

    /// From now on this share of the UDP packets that arrive there is lost, 0 to 1, each for itself.
    ///
    /// # Errors
    /// When `iptables` can't do that.
    pub fn loses(&self, share: f64) -> Result<()> {
        ensure!((0.0..=1.0).contains(&share), "a share is 0 to 1");
        self.iptables(&["-F", "LOSS"])?;
        if share > 0.0 {
            let share = share.to_string();
            let rule = ["-A", "LOSS", "-p", "udp", "-m", "statistic"];
            let how = ["--mode", "random", "--probability", &share, "-j", "DROP"];
            self.iptables(&[&rule[..], &how].concat())?;
        }
        Ok(())
    }

    /// Whether a router forwards nothing any more, without telling anybody.
    ///
    /// # Errors
    /// When `iptables` can't do that.
    pub fn cut(&self, cut: bool) -> Result<()> {
        self.iptables(&["-F", "CUT"])?;
        if cut {
            self.iptables(&["-A", "CUT", "-j", "DROP"])?;
        }
        Ok(())
    }

    /// Whether a firewall there drops what goes to a TCP server and what comes from it, without telling
    /// anybody.
    ///
    /// # Errors
    /// When `iptables` can't do that, or it is so already.
    pub fn wall_off(&self, server: SocketAddrV4, off: bool) -> Result<()> {
        let (address, port) = (server.ip().to_string(), server.port().to_string());
        let what = if off { "-I" } else { "-D" };
        for (chain, side, end) in [("OUTPUT", "-d", "--dport"), ("INPUT", "-s", "--sport")] {
            let rule = [what, chain, side, &address, "-p", "tcp", end, &port];
            self.iptables(&[&rule[..], &["-j", "DROP"]].concat())?;
        }
        Ok(())
    }

    /// Links two of them; returns once both ends are up.
    ///
    /// # Errors
    /// When `ip` can't do that.
    pub fn link(&self, end: End, other: &Self, other_end: End) -> Result<()> {
        run(Command::new("ip").args([
            "link",
            "add",
            end.device,
            "netns",
            &self.name,
            "type",
            "veth",
            "peer",
            "name",
            other_end.device,
            "netns",
            &other.name,
        ]))?;
        for (namespace, end) in [(self, end), (other, other_end)] {
            let address = format!("{}/24", end.address);
            namespace.ip(&["address", "add", &address, "dev", end.device])?;
            namespace.ip(&["link", "set", end.device, "up"])?;
        }
        Ok(())
    }

    fn ip(&self, arguments: &[&str]) -> Result<String> {
        run(Command::new("ip").args(["-n", &self.name]).args(arguments))
    }

    fn iptables(&self, arguments: &[&str]) -> Result<String> {
        run(self.command("iptables").arg("--wait").args(arguments))
    }

    fn forwards(&self) -> Result<()> {
        Ok(self.inside(|| fs::write("/proc/sys/net/ipv4/ip_forward", "1"))??)
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // Its links go with it.
        let _ = run(Command::new("ip").args(["netns", "delete", &self.name]));
    }
}

/// One end of a link.
#[derive(Clone, Copy, Debug)]
pub struct End<'a> {
    /// What the device is called there.
    pub device: &'a str,
    /// Its address, in a network of 256.
    pub address: Ipv4Addr,
}

/// Two computers with a cable between them.
#[derive(Debug)]
pub struct Pair {
    hosts: [Namespace; 2],
}

impl Pair {
    /// Makes them.
    ///
    /// # Errors
    /// As [`Namespace::new`].
    pub fn new() -> Result<Self> {
        let hosts = [Namespace::new()?, Namespace::new()?];
        let [device, other] = [0, 1].map(|host| End {
            device: "eth0",
            address: Self::address(host),
        });
        hosts[0].link(device, &hosts[1], other)?;
        Ok(Self { hosts })
    }

    /// One of the two.
    pub fn host(&self, host: usize) -> &Namespace {
        &self.hosts[host]
    }

    /// Where it is.
    pub fn address(host: usize) -> Ipv4Addr {
        Ipv4Addr::new(192, 168, 77, if host == 0 { 1 } else { 2 })
    }
}

/// How a router hides the home behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nat {
    /// A socket has one public address, whomever it talks to; only those it has talked to can answer. So
    /// two such homes can talk to each other once both have tried ("port-restricted cone").
    Cone,
    /// A socket has another public port for each that it talks to, so that nobody can be told where to
    /// reach it.
    Symmetric,
}

/// A home: a computer behind a router.
#[derive(Debug)]
pub struct Home {
    host: Namespace,
    router: Namespace,
    number: u8,
    moves: u8,
    nat: Nat,
}

/// UDP packets that have arrived at a home's router from outside.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Arrived {
    /// From the servers.
    pub from_servers: u64,
    /// From anybody else.
    pub from_others: u64,
}

impl Home {
    /// The computer there.
    pub fn host(&self) -> &Namespace {
        &self.host
    }

    /// Where the computer is, inside.
    pub fn address(&self) -> Ipv4Addr {
        Ipv4Addr::new(192, 168, self.network(), 2)
    }

    /// Where its router is, outside: what the world sees of it.
    pub fn public_address(&self) -> Ipv4Addr {
        Ipv4Addr::new(198, 18, self.network(), 2)
    }

    /// Whether the router forwards nothing any more, without telling anybody.
    ///
    /// # Errors
    /// When `iptables` can't do that.
    pub fn cut(&self, cut: bool) -> Result<()> {
        self.router.cut(cut)
    }

    /// What has arrived at its present router.
    ///
    /// # Errors
    /// When `iptables` doesn't tell.
    pub fn arrived(&self) -> Result<Arrived> {
        let listed = self
            .router
            .iptables(&["-t", "mangle", "-nvxL", "PREROUTING"])?;
        // After two lines of headings each rule begins with its number of packets.
        let mut counts = listed.lines().skip(2).map(|line| {
            let count = line.split_whitespace().next().unwrap_or_default();
            count.parse().context("iptables counts packets")
        });
        let mut next = || counts.next().context("there are two rules")?;
        Ok(Arrived {
            from_servers: next()?,
            from_others: next()?,
        })
    }

    fn network(&self) -> u8 {
        100 + 50 * self.number + self.moves
    }

    /// Puts the router between internet and home.
    fn connect(&self, internet: &Namespace) -> Result<()> {
        let network = self.network();
        let router = &self.router;
        router.forwards()?;
        let gateway = Ipv4Addr::new(198, 18, network, 1);
        let device = format!("home{network}");
        router.link(
            End {
                device: "wan",
                address: self.public_address(),
            },
            internet,
            End {
                device: &device,
                address: gateway,
            },
        )?;
        router.ip(&["route", "add", "default", "via", &gateway.to_string()])?;
        let mut masquerade = vec!["-t", "nat", "-A", "POSTROUTING", "-o", "wan"];
        masquerade.extend(["-j", "MASQUERADE"]);
        if self.nat == Nat::Symmetric {
            masquerade.push("--random-fully");
        }
        router.iptables(&masquerade)?;
        // As routers do. Were it answered instead, what comes too early would take the very port that the
        // home is about to use, and nobody would ever get through.
        router.iptables(&["-A", "INPUT", "-i", "wan", "-j", "DROP"])?;
        let servers = Homes::servers().to_string();
        for rest in [&["-s", &servers][..], &["!", "-s", &servers]] {
            let count = ["-t", "mangle", "-A", "PREROUTING", "-i", "wan", "-p", "udp"];
            router.iptables(&[&count[..], rest].concat())?;
        }
        let inside = Ipv4Addr::new(192, 168, network, 1);
        let device = format!("eth{}", self.moves);
        self.host.link(
            End {
                device: &device,
                address: self.address(),
            },
            router,
            End {
                device: "lan",
                address: inside,
            },
        )?;
        self.host
            .ip(&["route", "add", "default", "via", &inside.to_string()])?;
        Ok(())
    }
}

/// Two homes, and an internet with servers between them.
#[derive(Debug)]
pub struct Homes {
    internet: Namespace,
    homes: [Home; 2],
}

impl Homes {
    /// Makes them, each home behind a router of this kind.
    ///
    /// # Errors
    /// As [`Namespace::new`].
    pub fn new(nats: [Nat; 2]) -> Result<Self> {
        let internet = Namespace::new()?;
        internet.forwards()?;
        let servers = format!("{}/32", Self::servers());
        internet.ip(&["address", "add", &servers, "dev", "lo"])?;
        // What goes to nobody's address gets lost, of which nobody is told.
        internet.ip(&["route", "add", "default", "dev", "lo"])?;
        let lost = ["-i", "lo", "!", "-d", &servers, "-j", "DROP"];
        internet.iptables(&[&["-t", "mangle", "-A", "PREROUTING"][..], &lost].concat())?;
        let home = |number: u8| -> Result<Home> {
            let home = Home {
                host: Namespace::new()?,
                router: Namespace::new()?,
                number,
                moves: 0,
                nat: nats[usize::from(number)],
            };
            home.connect(&internet)?;
            Ok(home)
        };
        let homes = [home(0)?, home(1)?];
        Ok(Self { internet, homes })
    }

    /// Where the servers are: `command` runs them there.
    pub fn servers() -> Ipv4Addr {
        Ipv4Addr::new(198, 18, 0, 1)
    }

    /// The place of the servers.
    pub fn internet(&self) -> &Namespace {
        &self.internet
    }

    /// One of the two homes.
    pub fn home(&self, home: usize) -> &Home {
        &self.homes[home]
    }

    /// Takes a home's computer to another network, as when a phone goes from Wi-Fi to mobile data: the
    /// device it had is gone, a new one has another address, behind another router of the same kind.
    ///
    /// # Errors
    /// When `ip` can't do that.
    pub fn moves(&mut self, home: usize) -> Result<()> {
        let home = &mut self.homes[home];
        ensure!(home.moves < 49, "moved too often");
        let device = format!("eth{}", home.moves);
        home.host.ip(&["link", "delete", &device])?;
        home.router = Namespace::new()?;
        home.moves += 1;
        home.connect(&self.internet)
    }
}

/// Runs a command to its end; what it printed.
fn run(command: &mut Command) -> Result<String> {
    let ended = command.output().with_context(|| {
        let program = command.get_program().display();
        format!("can't start {program}; the packages iproute2 and iptables are needed")
    })?;
    ensure!(
        ended.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&ended.stderr)
    );
    Ok(String::from_utf8_lossy(&ended.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use std::net::{SocketAddr, UdpSocket};

    use super::*;
    use crate::process::GUARD;

    fn socket(namespace: &Namespace, address: Ipv4Addr) -> UdpSocket {
        let bound = namespace.inside(|| UdpSocket::bind((address, 0)));
        let socket = bound.unwrap().unwrap();
        socket.set_read_timeout(Some(GUARD)).unwrap();
        socket
    }

    fn server(homes: &Homes) -> UdpSocket {
        socket(homes.internet(), Homes::servers())
    }

    fn at_home(homes: &Homes, home: usize) -> UdpSocket {
        socket(homes.home(home).host(), Ipv4Addr::UNSPECIFIED)
    }

    fn hear(socket: &UdpSocket) -> (String, SocketAddr) {
        let mut buffer = [0; 100];
        let (length, from) = socket.recv_from(&mut buffer).expect("something arrives");
        (
            String::from_utf8_lossy(&buffer[..length]).into_owned(),
            from,
        )
    }

    /// As whom a server on the internet sees a socket.
    fn seen_by(homes: &Homes, server: &UdpSocket, who: &UdpSocket) -> SocketAddr {
        let port = server.local_addr().unwrap().port();
        who.send_to(b"who am I?", (Homes::servers(), port)).unwrap();
        let (_, from) = hear(server);
        assert!(
            [0, 1]
                .iter()
                .any(|&home| from.ip() == homes.home(home).public_address())
        );
        from
    }

    /// Whether two homes get through to each other once both have tried. What goes over the server is
    /// on its way longer, so whatever gets through directly is there before it.
    fn direct(homes: &Homes) -> (bool, bool) {
        let servers = [(); 2].map(|()| server(homes));
        let sockets = [0, 1].map(|home| at_home(homes, home));
        let seen = [0, 1].map(|i| seen_by(homes, &servers[0], &sockets[i]));
        let elsewhere = seen_by(homes, &servers[1], &sockets[0]);
        for _ in 0..2 {
            sockets[0].send_to(b"directly", seen[1]).unwrap();
            sockets[1].send_to(b"directly", seen[0]).unwrap();
        }
        let arrived = [0, 1].map(|i: usize| {
            servers[0].send_to(b"over the server", seen[i]).unwrap();
            hear(&sockets[i]).0 == "directly"
        });
        (arrived.contains(&true), elsewhere == seen[0])
    }

    #[test]
    fn cone_routers_let_through_what_was_asked_for_and_symmetric_ones_do_not() {
        let homes = Homes::new([Nat::Cone; 2]).unwrap();
        assert_eq!(direct(&homes), (true, true));
        let homes = Homes::new([Nat::Symmetric; 2]).unwrap();
        assert_eq!(direct(&homes), (false, false));
    }

    #[test]
    fn nobody_gets_in_unasked_and_what_arrives_is_counted() {
        let homes = Homes::new([Nat::Cone; 2]).unwrap();
        let server = server(&homes);
        let [a, b] = [0, 1].map(|home| at_home(&homes, home));
        let seen = seen_by(&homes, &server, &b);
        a.send_to(b"unasked", seen).unwrap();
        a.send_to(b"inside", (homes.home(1).address(), seen.port()))
            .unwrap();
        server.send_to(b"asked", seen).unwrap();
        assert_eq!(hear(&b).0, "asked");
        let counted = Arrived {
            from_servers: 1,
            from_others: 1,
        };
        assert_eq!(homes.home(1).arrived().unwrap(), counted);
    }

    #[test]
    fn a_home_moves_and_is_cut_off_for_a_while() {
        let mut homes = Homes::new([Nat::Cone; 2]).unwrap();
        let server = server(&homes);
        let before = homes.home(0).public_address();
        homes.moves(0).unwrap();
        assert_ne!(homes.home(0).public_address(), before);
        let a = at_home(&homes, 0);
        let seen = seen_by(&homes, &server, &a);
        homes.home(0).cut(true).unwrap();
        server.send_to(b"cut off", seen).unwrap();
        homes.home(0).cut(false).unwrap();
        server.send_to(b"back", seen).unwrap();
        assert_eq!(hear(&a).0, "back");
    }

    #[test]
    fn a_pair_loses_as_much_as_it_is_told_to() {
        let pair = Pair::new().unwrap();
        let [a, b] = [0, 1].map(|host| socket(pair.host(host), Pair::address(host)));
        let to = (Pair::address(1), b.local_addr().unwrap().port());
        for (share, least, most) in [(1.0, 0, 0), (0.5, 50, 150), (0.0, 200, 200)] {
            pair.host(1).loses(share).unwrap();
            for _ in 0..200 {
                a.send_to(b"one of many", to).unwrap();
            }
            pair.host(1).loses(0.0).unwrap();
            a.send_to(b"the last", to).unwrap();
            let arrived =
                std::iter::from_fn(|| Some(hear(&b).0)).take_while(|heard| heard != "the last");
            let arrived = arrived.count();
            assert!(
                (least..=most).contains(&arrived),
                "{arrived} of 200 with {share}"
            );
        }
    }

    #[test]
    fn everything_is_gone_afterwards_even_after_a_panic() {
        let name = std::sync::Mutex::new(String::new());
        let outcome = std::panic::catch_unwind(|| {
            let namespace = Namespace::new().unwrap();
            name.lock().unwrap().clone_from(&namespace.name);
            assert!(fs::exists(format!("/run/netns/{}", namespace.name)).unwrap());
            drop(name.lock().unwrap());
            panic!("as tests do");
        });
        assert!(outcome.is_err());
        let name = name.into_inner().unwrap();
        assert!(!fs::exists(format!("/run/netns/{name}")).unwrap());
    }
}
