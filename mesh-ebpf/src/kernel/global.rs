//! [`global_functions`]: how a decision of mesh-common becomes a global function of the object.

/// Defines global functions, which the verifier checks once and by themselves, for any arguments,
/// whatever their callers know.
///
/// The arguments before `;` are pointers to rows. A caller always passes a row, but the verifier
/// wants to see the check. The body has references to the rows; the function returns the value
/// after `or` if one is null.
macro_rules! global_functions {
    ($(fn $name:ident($($row:ident: *$kind:tt $type:ty),+ $(; $($arg:ident: $arg_type:ty),+)?)
        -> $returned:ty $body:block or $absent:expr;)+) => {$(
        #[unsafe(no_mangle)]
        #[inline(never)]
        extern "C" fn $name(
            $($row: *$kind $type,)+ $($($arg: $arg_type),+)?
        ) -> $returned {
            // SAFETY: the verifier lets no other pointer than null or to a row pass.
            match unsafe { ($($crate::kernel::global::borrowed!($kind $row),)+) } {
                ($(Some($row),)+) => $body,
                _ => $absent,
            }
        }
    )+};
}

/// The reference to a row behind a pointer, unless that is null.
macro_rules! borrowed {
    (const $row:ident) => {
        $row.as_ref()
    };
    (mut $row:ident) => {
        $row.as_mut()
    };
}

pub(super) use borrowed;
pub(super) use global_functions;
