/**
 * The header in which CloudFront's function hands its cache key what no list of header names could. It is CloudFront's own
 * matter, and goes no further than the gateway.
 */
export const EDGE_KEY_HEADER = 'x-causeway-edge-key';
