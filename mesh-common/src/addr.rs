//! One address type for IPv4 and IPv6, so that every decision is written once. Converts from the
//! words of the kernel's context, and from and to the standard library's addresses.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use bytemuck::{Pod, Zeroable};

/// An IP address as 16 bytes in network order; IPv4 is v4-mapped (`::ffff:a.b.c.d`, RFC 4291
/// section 2.5.5.2).
///
/// Four words, because the kernel's `bpf_sock_addr` has its addresses as words, and because the
/// verifier and the JIT handle four comparisons of words best. Each word keeps the byte order of
/// the wire.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Pod, Zeroable)]
pub struct Addr {
    words: [u32; 4],
}

/// Third word of every v4-mapped address, in wire order.
const MAPPED: u32 = 0xffff_u32.to_be();

impl Addr {
    /// Returns a copy, made word by word: for a plain copy the compiler calls `memmove`, which the
    /// verifier follows byte by byte.
    #[inline(always)]
    pub fn copy(&self) -> Self {
        let word = |at: usize| {
            // SAFETY: a reference is valid for reads.
            unsafe { (&raw const self.words[at]).read_volatile() }
        };
        Self {
            words: [word(0), word(1), word(2), word(3)],
        }
    }

    /// `::`, which is not the address of any frontend.
    pub const UNSPECIFIED: Self = Self { words: [0; 4] };

    /// Converts the word of `bpf_sock_addr.user_ip4` (wire order).
    #[inline(always)]
    pub const fn from_v4_word(word: u32) -> Self {
        Self {
            words: [0, 0, MAPPED, word],
        }
    }

    /// Converts the words of `bpf_sock_addr.user_ip6` (wire order).
    #[inline(always)]
    pub const fn from_v6_words(words: [u32; 4]) -> Self {
        Self { words }
    }

    /// Returns the IPv4 word in wire order; meaningless unless [`Self::is_v4`].
    #[inline(always)]
    pub const fn v4_word(&self) -> u32 {
        self.words[3]
    }

    /// Returns all four words in wire order.
    #[inline(always)]
    pub const fn v6_words(&self) -> [u32; 4] {
        self.words
    }

    /// Returns whether this is an IPv4 address in v4-mapped form.
    #[inline(always)]
    pub const fn is_v4(&self) -> bool {
        self.words[0] == 0 && self.words[1] == 0 && self.words[2] == MAPPED
    }
}

impl From<IpAddr> for Addr {
    fn from(ip: IpAddr) -> Self {
        let bytes = match ip {
            IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
            IpAddr::V6(v6) => v6.octets(),
        };
        bytemuck::cast(bytes)
    }
}

impl From<Ipv4Addr> for Addr {
    fn from(ip: Ipv4Addr) -> Self {
        IpAddr::V4(ip).into()
    }
}

impl From<Addr> for IpAddr {
    fn from(addr: Addr) -> Self {
        Ipv6Addr::from(bytemuck::cast::<_, [u8; 16]>(addr)).to_canonical()
    }
}

impl core::fmt::Display for Addr {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        IpAddr::from(*self).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn v4_word_of_the_kernel_is_the_mapped_address() {
        let word = u32::from_ne_bytes([10, 96, 0, 10]);
        let addr = Addr::from_v4_word(word);
        assert_eq!(IpAddr::from(addr), IpAddr::from([10, 96, 0, 10]));
        assert_eq!(addr, Addr::from(IpAddr::from([10, 96, 0, 10])));
        assert_eq!(addr.v4_word(), word);
        assert!(addr.is_v4());
    }

    #[test]
    fn v6_words_of_the_kernel_are_the_address() {
        let ip: Ipv6Addr = "fd00:96::a".parse().unwrap();
        let addr = Addr::from(IpAddr::V6(ip));
        assert_eq!(Addr::from_v6_words(bytemuck::cast(ip.octets())), addr);
        assert_eq!(IpAddr::from(addr), IpAddr::V6(ip));
        assert!(!addr.is_v4());
    }
}
