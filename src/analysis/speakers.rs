//! Who spoke when: speaker vectors of short stretches, put together while they are alike.

/// Which speaker each vector belongs to: 0, 1, .. in the order of their first words.
///
/// Agglomerative clustering by average linkage: the two groups whose vectors have the greatest mean cosine are joined as
/// long as it is at least `threshold` (0.65 tells GE2E's partial vectors of 1.6 s apart: those of one speaker have mean
/// cosines from 0.7 on, those of two up to 0.58). `vectors` are finite, of one length; zero vectors are like nothing.
/// Time grows with the square of their number: at most [`MAX_VECTORS`] are compared, the rest join the nearest group.
#[must_use]
pub fn cluster_speakers(vectors: &[Vec<f32>], threshold: f32) -> Vec<usize> {
    let unit: Vec<Vec<f32>> = vectors.iter().map(|vector| normalized(vector)).collect();
    let stride = vectors.len().div_ceil(MAX_VECTORS).max(1);
    let chosen: Vec<usize> = (0..unit.len()).step_by(stride).collect();
    let groups = agglomerate(&chosen.iter().map(|&index| unit[index].as_slice()).collect::<Vec<_>>(), threshold);
    let centres: Vec<Vec<f32>> = groups
        .iter()
        .map(|group| {
            let mut sum = vec![0.0; unit.first().map_or(0, Vec::len)];
            for &member in group {
                sum.iter_mut().zip(&unit[chosen[member]]).for_each(|(sum, value)| *sum += value);
            }
            normalized(&sum)
        })
        .collect();
    let mut label = vec![usize::MAX; unit.len()];
    for (group, members) in groups.iter().enumerate() {
        members.iter().for_each(|&member| label[chosen[member]] = group);
    }
    for (index, vector) in unit.iter().enumerate().filter(|(index, _)| !index.is_multiple_of(stride)) {
        let near = |group: &usize| cosine(&centres[*group], vector);
        label[index] = (0..centres.len()).max_by(|a, b| near(a).total_cmp(&near(b))).unwrap_or(0);
    }
    let mut order: Vec<usize> = Vec::new();
    let mut renumbered = |group: usize| {
        order.iter().position(|&known| known == group).unwrap_or_else(|| {
            order.push(group);
            order.len() - 1
        })
    };
    label.into_iter().map(&mut renumbered).collect()
}

/// Vectors that are compared with each other at most.
pub const MAX_VECTORS: usize = 1_500;

fn normalized(vector: &[f32]) -> Vec<f32> {
    let norm = cosine(vector, vector).sqrt();
    vector.iter().map(|value| if norm > 0.0 { value / norm } else { 0.0 }).collect()
}

fn cosine(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Groups of indices. The best partner of every group is kept, so that a join looks at few pairs.
fn agglomerate(vectors: &[&[f32]], threshold: f32) -> Vec<Vec<usize>> {
    let n = vectors.len();
    let mut groups: Vec<Vec<usize>> = (0..n).map(|index| vec![index]).collect();
    let mut alike: Vec<Vec<f32>> = vectors.iter().map(|a| vectors.iter().map(|b| cosine(a, b)).collect()).collect();
    let best = |row: usize, alike: &[Vec<f32>], groups: &[Vec<usize>]| {
        let others = (0..n).filter(|&other| other != row && !groups[other].is_empty());
        others.max_by(|&a, &b| alike[row][a].total_cmp(&alike[row][b]))
    };
    let mut partner: Vec<Option<usize>> = (0..n).map(|row| best(row, &alike, &groups)).collect();
    loop {
        let live = (0..n).filter(|&row| !groups[row].is_empty());
        let pairs = live.filter_map(|row| partner[row].map(|other| (row, other, alike[row][other])));
        let Some((a, b, value)) = pairs.max_by(|x, y| x.2.total_cmp(&y.2)) else { break };
        if value < threshold {
            break;
        }
        let (kept, gone) = (a.min(b), a.max(b));
        let (n_kept, n_gone) = (groups[kept].len() as f32, groups[gone].len() as f32);
        for other in 0..n {
            let mean = (alike[kept][other] * n_kept + alike[gone][other] * n_gone) / (n_kept + n_gone);
            alike[kept][other] = mean;
            alike[other][kept] = mean;
        }
        let members = std::mem::take(&mut groups[gone]);
        groups[kept].extend(members);
        for row in 0..n {
            let is_stale = row == kept || partner[row] == Some(kept) || partner[row] == Some(gone);
            if is_stale && !groups[row].is_empty() {
                partner[row] = best(row, &alike, &groups);
            }
        }
    }
    groups.into_iter().filter(|group| !group.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Vectors around a few directions, each off by some noise.
    fn voices(who: &[usize], noise: f32) -> Vec<Vec<f32>> {
        let mut random = 1_u32;
        let mut next = || {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (random >> 8) as f32 / 16_777_216.0 - 0.5
        };
        let centres: Vec<Vec<f32>> = (0..4).map(|_| (0..64).map(|_| next()).collect()).collect();
        who.iter().map(|&speaker| centres[speaker].iter().map(|value| value + noise * next()).collect()).collect()
    }

    #[test]
    fn speakers_are_told_apart_and_numbered_by_their_first_words() {
        let who = [2, 2, 0, 2, 0, 1, 1, 0, 2, 1];
        assert_eq!(cluster_speakers(&voices(&who, 0.3), 0.6), [0, 0, 1, 0, 1, 2, 2, 1, 0, 2]);
    }

    #[test]
    fn one_voice_is_one_speaker_and_nothing_is_none() {
        assert_eq!(cluster_speakers(&voices(&[3; 20], 0.4), 0.6), [0; 20]);
        assert!(cluster_speakers(&[], 0.75).is_empty());
        assert_eq!(cluster_speakers(&[vec![0.0; 4], vec![0.0; 4]], 0.75), [0, 1]);
    }

    #[test]
    fn very_many_vectors_still_find_their_speakers() {
        let who: Vec<usize> = (0..4_000).map(|index| index / 100 % 3).collect();
        assert_eq!(cluster_speakers(&voices(&who, 0.3), 0.6), who);
    }
}
