//! How plain things stand in a snapshot: numbers, flags, options, lists, maps and columns.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use dagmar_common::ids::{
    ClusterId, CompositeNo, Digest, Fence, Incarnation, LogIndex, RequestId, RunId, RunNo,
    SectionNo, Session, WorkerId, WorkerNo,
};
use dagmar_common::time::{LogTime, Span, WallTime};

use super::pack::{Pack, Reader, RestoreError, Writer};
use crate::state::column::Column;

/// A struct whose fields follow one another. Their order is the form: it is never changed, and a
/// field that is added stands in a new version.
macro_rules! fields {
    ($name:ident { $($field:ident),* $(,)? }) => {
        impl Pack for $name {
            fn pack(&self, out: &mut Writer<'_>) {
                $( self.$field.pack(out); )*
            }

            fn unpack(from: &mut Reader<'_>) -> Result<Self, RestoreError> {
                Ok($name { $( $field: Pack::unpack(from)?, )* })
            }
        }
    };
}

/// An enum without data, as the number that stands beside each variant.
macro_rules! numbered {
    ($name:ident { $($variant:ident = $number:literal),* $(,)? }) => {
        impl Pack for $name {
            fn pack(&self, out: &mut Writer<'_>) {
                out.number(match self { $( $name::$variant => $number, )* });
            }

            fn unpack(from: &mut Reader<'_>) -> Result<Self, RestoreError> {
                match from.number()? {
                    $( $number => Ok($name::$variant), )*
                    _ => Err(RestoreError::Malformed(concat!("an unknown ", stringify!($name)))),
                }
            }
        }
    };
}

pub(super) use {fields, numbered};

macro_rules! unsigned {
    ($($name:ty),*) => { $(
        impl Pack for $name {
            #[inline]
            fn pack(&self, out: &mut Writer<'_>) {
                out.number(u64::from(*self));
            }

            #[inline]
            fn unpack(from: &mut Reader<'_>) -> Result<Self, RestoreError> {
                from.small()
            }
        }
    )* };
}

macro_rules! wrapped {
    ($($name:ident),*) => { $(
        impl Pack for $name {
            fn pack(&self, out: &mut Writer<'_>) {
                self.0.pack(out);
            }

            fn unpack(from: &mut Reader<'_>) -> Result<Self, RestoreError> {
                Ok($name(Pack::unpack(from)?))
            }
        }
    )* };
}

unsigned!(u8, u32, u64);
wrapped!(
    ClusterId,
    RunNo,
    WorkerNo,
    SectionNo,
    CompositeNo,
    Fence,
    Session,
    LogIndex,
    WorkerId,
    RequestId,
    RunId,
    LogTime,
    Span
);
fields!(Incarnation { number, nonce });

impl Pack for bool {
    fn pack(&self, out: &mut Writer<'_>) {
        out.number(u64::from(*self));
    }

    fn unpack(from: &mut Reader<'_>) -> Result<Self, RestoreError> {
        Ok(from.small::<u8>()? != 0)
    }
}

impl Pack for i32 {
    fn pack(&self, out: &mut Writer<'_>) {
        out.signed(i64::from(*self));
    }

    fn unpack(from: &mut Reader<'_>) -> Result<Self, RestoreError> {
        i32::try_from(from.signed()?).map_err(|_| RestoreError::Malformed("a number out of range"))
    }
}

impl Pack for u128 {
    fn pack(&self, out: &mut Writer<'_>) {
        out.number(*self as u64);
        out.number((*self >> 64) as u64);
    }

    fn unpack(from: &mut Reader<'_>) -> Result<Self, RestoreError> {
        let low = from.number()?;
        Ok(u128::from(from.number()?) << 64 | u128::from(low))
    }
}

impl Pack for WallTime {
    fn pack(&self, out: &mut Writer<'_>) {
        out.signed(self.0);
    }

    fn unpack(from: &mut Reader<'_>) -> Result<Self, RestoreError> {
        from.signed().map(WallTime)
    }
}

impl Pack for Digest {
    fn pack(&self, out: &mut Writer<'_>) {
        out.bytes(&self.0);
    }

    fn unpack(from: &mut Reader<'_>) -> Result<Self, RestoreError> {
        let bytes = from.bytes()?.try_into();
        bytes.map(Digest).map_err(|_| RestoreError::Malformed("a digest of another length"))
    }
}

impl Pack for String {
    fn pack(&self, out: &mut Writer<'_>) {
        out.bytes(self.as_bytes());
    }

    fn unpack(from: &mut Reader<'_>) -> Result<Self, RestoreError> {
        String::from_utf8(from.bytes()?).map_err(|_| RestoreError::Malformed("a text that is none"))
    }
}

impl<T: Pack> Pack for Option<T> {
    fn pack(&self, out: &mut Writer<'_>) {
        self.is_some().pack(out);
        if let Some(inner) = self {
            inner.pack(out);
        }
    }

    fn unpack(from: &mut Reader<'_>) -> Result<Self, RestoreError> {
        Ok(if bool::unpack(from)? { Some(T::unpack(from)?) } else { None })
    }
}

impl<T: Pack> Pack for Box<T> {
    fn pack(&self, out: &mut Writer<'_>) {
        (**self).pack(out);
    }

    fn unpack(from: &mut Reader<'_>) -> Result<Self, RestoreError> {
        T::unpack(from).map(Box::new)
    }
}

impl<A: Pack, B: Pack> Pack for (A, B) {
    fn pack(&self, out: &mut Writer<'_>) {
        self.0.pack(out);
        self.1.pack(out);
    }

    fn unpack(from: &mut Reader<'_>) -> Result<Self, RestoreError> {
        Ok((A::unpack(from)?, B::unpack(from)?))
    }
}

impl<T: Pack> Pack for Vec<T> {
    fn pack(&self, out: &mut Writer<'_>) {
        out.number(self.len() as u64);
        self.iter().for_each(|item| item.pack(out));
    }

    fn unpack(from: &mut Reader<'_>) -> Result<Self, RestoreError> {
        let length = from.number()?;
        (0..length).map(|_| T::unpack(from)).collect()
    }
}

impl<T: Pack> Pack for Arc<[T]> {
    fn pack(&self, out: &mut Writer<'_>) {
        out.number(self.len() as u64);
        self.iter().for_each(|item| item.pack(out));
    }

    fn unpack(from: &mut Reader<'_>) -> Result<Self, RestoreError> {
        Vec::unpack(from).map(Arc::from)
    }
}

impl<T: Pack> Pack for VecDeque<T> {
    fn pack(&self, out: &mut Writer<'_>) {
        out.number(self.len() as u64);
        self.iter().for_each(|item| item.pack(out));
    }

    fn unpack(from: &mut Reader<'_>) -> Result<Self, RestoreError> {
        Vec::unpack(from).map(VecDeque::from)
    }
}

impl<T: Pack + Ord> Pack for BTreeSet<T> {
    fn pack(&self, out: &mut Writer<'_>) {
        out.number(self.len() as u64);
        self.iter().for_each(|item| item.pack(out));
    }

    fn unpack(from: &mut Reader<'_>) -> Result<Self, RestoreError> {
        Ok(Vec::unpack(from)?.into_iter().collect())
    }
}

impl<K: Pack + Ord, T: Pack> Pack for BTreeMap<K, T> {
    fn pack(&self, out: &mut Writer<'_>) {
        out.number(self.len() as u64);
        for (key, value) in self {
            key.pack(out);
            value.pack(out);
        }
    }

    fn unpack(from: &mut Reader<'_>) -> Result<Self, RestoreError> {
        Ok(Vec::<(K, T)>::unpack(from)?.into_iter().collect())
    }
}

impl<T: Pack + Clone, const ROWS: usize> Pack for Column<T, ROWS> {
    fn pack(&self, out: &mut Writer<'_>) {
        out.number(self.len() as u64);
        self.iter().for_each(|row| row.pack(out));
    }

    fn unpack(from: &mut Reader<'_>) -> Result<Self, RestoreError> {
        let mut column = Column::default();
        for _ in 0..from.number()? {
            column.push(T::unpack(from)?);
        }
        Ok(column)
    }
}
