//! Keeps things in numbered places and finds them by a key that goes stale when they leave.

use core::convert::Infallible;
use core::marker::PhantomData;

use crate::id::{Key, SHARD_BITS, ShardId};

/// A table with stable keys. Iteration is in the order of the places, hence deterministic.
#[derive(Debug)]
pub(crate) struct Slab<K, T> {
    places: Vec<Place<T>>,
    free: Vec<u32>,
    /// Generation of a new place.
    first: u32,
    key: PhantomData<fn() -> K>,
}

#[derive(Debug)]
struct Place<T> {
    generation: u32,
    tenant: Option<T>,
}

impl<K: From<Key> + Into<Key>, T> Slab<K, T> {
    pub(crate) const fn new() -> Self {
        Self::of_shard(ShardId(0))
    }

    /// A table whose keys no other shard's has.
    pub(crate) const fn of_shard(shard: ShardId) -> Self {
        Self {
            places: Vec::new(),
            free: Vec::new(),
            first: u32::from_be_bytes([0, 0, 0, shard.0]) << (u32::BITS - SHARD_BITS),
            key: PhantomData,
        }
    }

    /// How many things are in the table.
    pub(crate) fn len(&self) -> usize {
        self.places.len() - self.free.len()
    }

    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Puts in what `make` builds from its own key. The caller has checked the limit.
    pub(crate) fn insert_with(&mut self, make: impl FnOnce(K) -> T) -> K {
        let Ok(key) = self.try_insert_with(|key| Ok::<T, Infallible>(make(key)));
        key
    }

    /// The same for what may fail; nothing is put in then.
    pub(crate) fn try_insert_with<E>(
        &mut self,
        make: impl FnOnce(K) -> Result<T, E>,
    ) -> Result<K, E> {
        let index = self.free.pop().unwrap_or_else(|| {
            self.places.push(Place {
                generation: self.first,
                tenant: None,
            });
            u32::try_from(self.places.len() - 1).unwrap_or(u32::MAX)
        });
        let mut key = Key {
            index,
            generation: 0,
        };
        if let Some(place) = self.places.get_mut(index as usize) {
            key.generation = place.generation;
            match make(K::from(key)) {
                Ok(tenant) => place.tenant = Some(tenant),
                Err(error) => {
                    self.free.push(index);
                    return Err(error);
                }
            }
        }
        Ok(K::from(key))
    }

    pub(crate) fn remove(&mut self, key: K) -> Option<T> {
        let key: Key = key.into();
        let place = self.places.get_mut(key.index as usize)?;
        if place.generation != key.generation {
            return None;
        }
        let tenant = place.tenant.take()?;
        let next = place.generation.wrapping_add(1) & TENANTS;
        place.generation = place.generation & !TENANTS | next;
        self.free.push(key.index);
        Some(tenant)
    }

    /// Puts in what has its key already, from the table that this one follows. Whoever still has
    /// the place is pushed out.
    pub(crate) fn insert_at(&mut self, key: K, tenant: T) {
        let key: Key = key.into();
        let at = key.index as usize;
        for index in self.places.len()..=at {
            self.free.extend(u32::try_from(index));
            self.places.push(Place {
                generation: self.first,
                tenant: None,
            });
        }
        if let Some(place) = self.places.get_mut(at) {
            if place.tenant.is_none() {
                self.free.retain(|free| *free != key.index);
            }
            place.generation = key.generation;
            place.tenant = Some(tenant);
        }
    }

    pub(crate) fn get(&self, key: K) -> Option<&T> {
        let key: Key = key.into();
        let place = self.places.get(key.index as usize)?;
        if place.generation == key.generation {
            place.tenant.as_ref()
        } else {
            None
        }
    }

    pub(crate) fn get_mut(&mut self, key: K) -> Option<&mut T> {
        let key: Key = key.into();
        let place = self.places.get_mut(key.index as usize)?;
        if place.generation == key.generation {
            place.tenant.as_mut()
        } else {
            None
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (K, &T)> {
        (0u32..).zip(&self.places).filter_map(|(index, place)| {
            let key = Key {
                index,
                generation: place.generation,
            };
            place.tenant.as_ref().map(|tenant| (K::from(key), tenant))
        })
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (K, &mut T)> {
        (0u32..).zip(&mut self.places).filter_map(|(index, place)| {
            let key = Key {
                index,
                generation: place.generation,
            };
            place.tenant.as_mut().map(|tenant| (K::from(key), tenant))
        })
    }
}

/// Bits of a generation that count tenants.
const TENANTS: u32 = u32::MAX >> SHARD_BITS;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::EndpointKey;

    #[test]
    fn keys_of_two_shards_differ_and_name_their_shard() {
        let mut slabs = [0, 63].map(|shard| Slab::<EndpointKey, u8>::of_shard(ShardId(shard)));
        for _ in 0..3 {
            let [one, other] = slabs.each_mut().map(|slab| slab.insert_with(|_| 7));
            assert_ne!(one, other);
            assert_eq!((one.0.shard(), other.0.shard()), (ShardId(0), ShardId(63)));
            assert_eq!(slabs[0].get(other), None);
            assert_eq!(slabs[1].remove(other), Some(7));
        }
    }

    #[test]
    fn a_table_that_follows_another_has_the_same_keys() {
        let mut leader: Slab<EndpointKey, u32> = Slab::new();
        let keys = [0, 1, 2, 3].map(|number| leader.insert_with(|_| number));
        leader.remove(keys[1]);
        let again = leader.insert_with(|_| 9);
        leader.remove(keys[0]);
        let mut follower: Slab<EndpointKey, u32> = Slab::new();
        follower.insert_at(keys[1], 1);
        assert_eq!(follower.len(), 1);
        for (key, tenant) in leader.iter() {
            follower.insert_at(key, *tenant);
        }
        assert!(follower.iter().eq(leader.iter()));
        assert_eq!(
            (follower.get(keys[1]), follower.get(again)),
            (None, Some(&9))
        );
        assert_eq!(follower.len(), 3);
        assert_eq!(follower.remove(again), Some(9));
        assert_eq!(follower.len(), 2);
    }

    #[test]
    fn a_key_of_a_former_tenant_finds_nobody() {
        let mut slab: Slab<EndpointKey, &str> = Slab::new();
        let old = slab.insert_with(|_| "old");
        assert_eq!(slab.remove(old), Some("old"));
        let new = slab.insert_with(|_| "new");
        assert_eq!(new.0.index, old.0.index);
        assert_eq!(slab.get(old), None);
        assert_eq!(slab.remove(old), None);
        assert_eq!(slab.get_mut(new), Some(&mut "new"));
        assert_eq!(slab.len(), 1);
    }
}
