//! What the two sides tell each other of what arrives (RTCP).
//!
//! Receiver reports are written by the library, and end unseen in it. This stands in their way: it reads
//! those that come, and to those that go it adds which packets arrived (RFC 3611, loss RLE), so that the
//! other side learns in what rows they are lost. Who doesn't know that block passes it over, and browsers
//! don't send it; then rows are taken to be as they are the other way.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Instant,
};

use rtc::{
    interceptor::{Interceptor, Packet, StreamInfo, TaggedPacket},
    rtcp::{
        self,
        extended_report::{Chunk, ChunkType, ExtendedReport, RLEReportBlock},
        receiver_report::ReceiverReport,
        sender_report::SenderReport,
    },
    sansio::Protocol,
};
use webrtc::error::Error;

use crate::redundancy::{ArrivalLog, Arrivals, LossRows};

/// Packets in a bit vector chunk.
const VECTOR: usize = 15;
const VECTOR_FLAG: u16 = 1 << 15;
const RUN_ARRIVED: u16 = 1 << 14;
/// Streams followed at once; one person sends one.
const STREAMS: usize = 4;

/// How the other side receives a stream.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Reception {
    /// Which part it has lost lately, 0 to 1.
    pub(super) loss: f32,
    /// Mean length of the rows in which it is lost, in packets.
    pub(super) burst: f32,
    /// Number of the last packet that came, wrap-arounds counted.
    pub(super) last: u32,
}

/// Reads and completes reports on their way through the connection.
pub(super) struct Reports {
    stream: u32,
    tell: Box<dyn Fn(Reception) + Send + Sync>,
    logs: BTreeMap<u32, ArrivalLog>,
    /// Rows of what is lost on the way here …
    received: LossRows,
    /// … and on the way there, if they tell.
    sent: Option<LossRows>,
    read: VecDeque<TaggedPacket>,
    write: VecDeque<TaggedPacket>,
}

impl Reports {
    /// Tells `tell` what the other side says of the stream `stream`.
    pub(super) fn new(stream: u32, tell: impl Fn(Reception) + Send + Sync + 'static) -> Self {
        Self {
            stream,
            tell: Box::new(tell),
            logs: BTreeMap::new(),
            received: LossRows::default(),
            sent: None,
            read: VecDeque::new(),
            write: VecDeque::new(),
        }
    }

    fn read(&mut self, packets: &[Box<dyn rtcp::Packet>]) {
        for arrivals in arrivals(packets, self.stream) {
            self.sent.get_or_insert_default().take(&arrivals);
        }
        if let Some((loss, last)) = reception(packets, self.stream) {
            let burst = self.sent.as_ref().unwrap_or(&self.received).mean();
            (self.tell)(Reception { loss, burst, last });
        }
    }

    /// Adds what arrived to the receiver reports among `packets`.
    fn complete(&mut self, packets: &mut Vec<Box<dyn rtcp::Packet>>) {
        let mut blocks: Vec<Box<dyn rtcp::Packet>> = Vec::new();
        let mut reporter = 0;
        for report in packets
            .iter()
            .filter_map(|packet| packet.as_any().downcast_ref::<ReceiverReport>())
        {
            reporter = report.ssrc;
            for reported in &report.reports {
                let log = self.logs.get_mut(&reported.ssrc);
                if let Some(arrivals) = log.and_then(ArrivalLog::take) {
                    self.received.take(&arrivals);
                    blocks.push(Box::new(block(reported.ssrc, &arrivals)));
                }
            }
        }
        if !blocks.is_empty() {
            packets.push(Box::new(ExtendedReport {
                sender_ssrc: reporter,
                reports: blocks,
            }));
        }
    }
}

impl Protocol<TaggedPacket, TaggedPacket, ()> for Reports {
    type Rout = TaggedPacket;
    type Wout = TaggedPacket;
    type Eout = ();
    type Error = Error;
    type Time = Instant;

    fn handle_read(&mut self, packet: TaggedPacket) -> Result<(), Error> {
        match &packet.message.packet {
            Packet::Rtp(rtp) => {
                if let Some(log) = self.logs.get_mut(&rtp.header.ssrc) {
                    log.note(rtp.header.sequence_number);
                }
            }
            Packet::Rtcp(packets) => self.read(packets),
            _ => {}
        }
        self.read.push_back(packet);
        Ok(())
    }

    fn poll_read(&mut self) -> Option<TaggedPacket> {
        self.read.pop_front()
    }

    fn handle_write(&mut self, mut packet: TaggedPacket) -> Result<(), Error> {
        if let Packet::Rtcp(packets) = &mut packet.message.packet {
            self.complete(packets);
        }
        self.write.push_back(packet);
        Ok(())
    }

    fn poll_write(&mut self) -> Option<TaggedPacket> {
        self.write.pop_front()
    }
}

impl Interceptor for Reports {
    fn bind_local_stream(&mut self, _: &StreamInfo) {}
    fn unbind_local_stream(&mut self, _: &StreamInfo) {}

    fn bind_remote_stream(&mut self, info: &StreamInfo) {
        if self.logs.len() < STREAMS {
            self.logs.insert(info.ssrc, ArrivalLog::default());
        }
    }

    fn unbind_remote_stream(&mut self, info: &StreamInfo) {
        self.logs.remove(&info.ssrc);
    }
}

/// How the other side says that it receives the stream `ssrc`: its loss, and the last number. Who sends too
/// says so in its sender reports.
fn reception(packets: &[Box<dyn rtcp::Packet>], ssrc: u32) -> Option<(f32, u32)> {
    packets
        .iter()
        .flat_map(|packet| {
            let packet = packet.as_any();
            packet
                .downcast_ref::<ReceiverReport>()
                .map(|report| &report.reports)
                .or_else(|| {
                    packet
                        .downcast_ref::<SenderReport>()
                        .map(|report| &report.reports)
                })
        })
        .flatten()
        .find(|report| report.ssrc == ssrc)
        .map(|report| {
            (
                f32::from(report.fraction_lost) / 256.0,
                report.last_sequence_number,
            )
        })
}

/// What the other side says arrived of the stream `ssrc`.
fn arrivals(packets: &[Box<dyn rtcp::Packet>], ssrc: u32) -> impl Iterator<Item = Arrivals> {
    packets
        .iter()
        .filter_map(|packet| packet.as_any().downcast_ref::<ExtendedReport>())
        .flat_map(|report| &report.reports)
        .filter_map(|block| block.as_any().downcast_ref::<RLEReportBlock>())
        // Thinned out, it tells nothing of rows.
        .filter(move |block| block.is_loss_rle && block.ssrc == ssrc && block.t == 0)
        .filter_map(parse)
}

fn block(ssrc: u32, arrivals: &Arrivals) -> RLEReportBlock {
    let arrived = &arrivals.arrived;
    let mut chunks: Vec<Chunk> = if arrived.iter().all(|&arrived| arrived) {
        vec![Chunk(RUN_ARRIVED | arrived.len() as u16)]
    } else {
        arrived
            .chunks(VECTOR)
            .map(|bits| {
                let bit = |(n, &arrived)| u16::from(arrived) << (VECTOR - 1 - n);
                Chunk(
                    bits.iter()
                        .enumerate()
                        .map(bit)
                        .fold(VECTOR_FLAG, |a, b| a | b),
                )
            })
            .collect()
    };
    if chunks.len() % 2 == 1 {
        // Blocks are whole words.
        chunks.push(Chunk(0));
    }
    RLEReportBlock {
        is_loss_rle: true,
        t: 0,
        ssrc,
        begin_seq: arrivals.begin,
        end_seq: arrivals.end(),
        chunks,
    }
}

/// `None` when it covers more than is sensible, or not what it says it covers.
fn parse(block: &RLEReportBlock) -> Option<Arrivals> {
    let length = usize::from(block.end_seq.wrapping_sub(block.begin_seq));
    if length == 0 || length > Arrivals::LONGEST {
        return None;
    }
    let mut arrived = Vec::with_capacity(length);
    for chunk in &block.chunks {
        let left = length - arrived.len();
        match chunk.chunk_type() {
            ChunkType::RunLength => {
                let run = usize::from(chunk.value()).min(left);
                arrived.resize(arrived.len() + run, chunk.0 & RUN_ARRIVED != 0);
            }
            ChunkType::BitVector => {
                arrived.extend((0..VECTOR.min(left)).map(|n| chunk.0 >> (VECTOR - 1 - n) & 1 == 1))
            }
            ChunkType::TerminatingNull => break,
        }
    }
    (arrived.len() == length).then_some(Arrivals {
        begin: block.begin_seq,
        arrived,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rtc::{
        rtcp::reception_report::ReceptionReport,
        shared::marshal::{Marshal, Unmarshal},
    };

    use super::*;

    #[test]
    fn loss_is_read_from_either_report() {
        let reports = vec![
            ReceptionReport {
                ssrc: 1,
                ..Default::default()
            },
            ReceptionReport {
                ssrc: 7,
                fraction_lost: 64,
                last_sequence_number: 70_000,
                ..Default::default()
            },
        ];
        let receiver = Box::new(ReceiverReport {
            reports: reports.clone(),
            ..Default::default()
        });
        let sender = Box::new(SenderReport {
            reports,
            ..Default::default()
        });
        let packets: [Box<dyn rtcp::Packet>; 2] = [receiver, sender];
        for packet in &packets {
            let packet = std::slice::from_ref(packet);
            assert_eq!(reception(packet, 7), Some((0.25, 70_000)));
            assert_eq!(reception(packet, 8), None);
        }
        assert_eq!(reception(&[], 7), None);
    }

    proptest! {
        #[test]
        fn what_arrived_is_read_as_it_was_written(
            begin: u16,
            arrived in prop::collection::vec(prop::bool::weighted(0.9), 1..=Arrivals::LONGEST),
        ) {
            let arrivals = Arrivals { begin, arrived };
            let report = ExtendedReport {
                sender_ssrc: 1,
                reports: vec![Box::new(block(7, &arrivals))],
            };
            let bytes = report.marshal().unwrap();
            let read = ExtendedReport::unmarshal(&mut &bytes[..]).unwrap();
            let packets: [Box<dyn rtcp::Packet>; 1] = [Box::new(read)];
            prop_assert_eq!(super::arrivals(&packets, 7).collect::<Vec<_>>(), vec![arrivals]);
            prop_assert_eq!(super::arrivals(&packets, 8).count(), 0);
        }

        #[test]
        fn any_chunks_are_read_within_bounds(
            begin_seq: u16,
            end_seq: u16,
            chunks in prop::collection::vec(any::<u16>().prop_map(Chunk), 0..100),
        ) {
            let block = RLEReportBlock { is_loss_rle: true, begin_seq, end_seq, chunks, ..Default::default() };
            if let Some(arrivals) = parse(&block) {
                prop_assert_eq!(arrivals.end(), end_seq);
                prop_assert!(arrivals.arrived.len() <= Arrivals::LONGEST);
            }
        }
    }

    #[test]
    fn a_network_without_loss_is_told_in_one_word() {
        let arrivals = Arrivals {
            begin: 65_500,
            arrived: vec![true; 100],
        };
        let block = block(7, &arrivals);
        assert_eq!(block.chunks, [Chunk(RUN_ARRIVED | 100), Chunk(0)]);
        assert_eq!((block.begin_seq, block.end_seq), (65_500, 64));
        assert_eq!(parse(&block), Some(arrivals));
    }
}
