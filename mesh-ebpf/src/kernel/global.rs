//! [`global_functions`]: how a decision of mesh-common becomes a global function of the object.

/// Defines global functions, each of which the verifier checks once, for all arguments and whatever
/// its callers know.
///
/// Arguments before `;` are pointers to rows. Callers always pass a row, but the verifier requires
/// a check for null. The body has references to the rows; without a row the function returns the
/// value after `or`.
macro_rules! global_functions {
    ($(fn $name:ident($($row:ident: *$kind:tt $type:ty),+ $(; $($arg:ident: $arg_type:ty),+)?)
        -> $returned:ty $body:block or $absent:expr;)+) => {$(
        #[unsafe(no_mangle)]
        #[inline(never)]
        extern "C" fn $name(
            $($row: *$kind $type,)+ $($($arg: $arg_type),+)?
        ) -> $returned {
            // SAFETY: a caller passes a row or null; the verifier accepts no other pointer.
            match unsafe { ($($crate::kernel::global::borrowed!($kind $row),)+) } {
                ($(Some($row),)+) => $body,
                _ => $absent,
            }
        }
    )+};
}

/// Expands to the reference to a row behind a pointer, none if the pointer is null.
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
