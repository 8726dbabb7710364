//! A host and a port, as people type them.
//! Looks nothing up.

use std::fmt;

/// `example.org:80`, `192.0.2.1:80`, `[2001:db8::1]:80`; `:80` and `localhost:80` are this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// A name or a number, without the brackets of an IPv6 address.
    pub host: String,
    /// To be chosen by the system, where one listens, if it is 0.
    pub port: u16,
}

/// What an address without a host means.
const THIS_MACHINE: &str = "localhost";

impl Address {
    /// Of a host without brackets.
    pub(in crate::stage) fn new(host: &str, port: u16) -> Address {
        Address { host: host.to_owned(), port }
    }

    /// An address to listen at, or to connect to.
    ///
    /// # Errors
    /// A sentence for people, for anything else.
    pub fn parse(text: &str) -> Result<Address, String> {
        const FORMS: &str = "type HOST:PORT, as in `localhost:80` or `[::1]:80`";
        let (host, port) = text.rsplit_once(':').ok_or_else(|| format!("a port is missing; {FORMS}"))?;
        let is_number = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
        let port = Some(port).filter(|_| is_number).and_then(|port| port.parse::<u16>().ok());
        let port = port.ok_or_else(|| format!("the port is a number from 0 to 65535; {FORMS}"))?;
        let is_odd = |letter: char| letter.is_whitespace() || letter.is_control() || "/@?#".contains(letter);
        if host.contains(is_odd) || host.starts_with('-') {
            return Err(format!("the host is no name; {FORMS}"));
        }
        let host = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
            Some(host) => host,
            None if host.contains([':', '[', ']']) => {
                return Err(format!("an IPv6 address stands in brackets; {FORMS}"));
            }
            None => host,
        };
        Ok(Address::new(if host.is_empty() { THIS_MACHINE } else { host }, port))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(formatter, "[{}]:{}", self.host, self.port)
        } else {
            write!(formatter, "{}:{}", self.host, self.port)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Address;

    #[test]
    fn an_address_is_a_host_and_a_port() {
        for (text, host, port, shown) in [
            ("example.org:80", "example.org", 80, "example.org:80"),
            ("[::1]:8080", "::1", 8080, "[::1]:8080"),
            (":7", "localhost", 7, "localhost:7"),
            ("127.0.0.1:0", "127.0.0.1", 0, "127.0.0.1:0"),
        ] {
            let address = Address::parse(text).unwrap();
            assert_eq!((&*address.host, address.port), (host, port), "{text}");
            assert_eq!(address.to_string(), shown);
        }
    }

    #[test]
    fn what_is_no_address_is_refused_with_the_form_that_is() {
        for text in [
            "",
            "host",
            "host:",
            "host:x",
            "host:+5",
            "host:65536",
            "::1:80",
            "a b:80",
            "-o:80",
            "http://h:80",
        ] {
            let refusal = Address::parse(text).unwrap_err();
            assert!(refusal.contains("type HOST:PORT"), "{text}: {refusal}");
        }
    }
}
