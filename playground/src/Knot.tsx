/** The mark: three knotted cords on a string. */
export function Knot() {
  return (
    <svg className="quipu-knot" viewBox="0 0 32 32" fill="none" strokeLinecap="round" aria-hidden="true">
      <path className="string" d="M3 8.5C9 5 23 5 29 8.5" strokeWidth="3" />
      <path className="cords" d="M8 7.5V26M16 6.2V28.5M24 7.5V22" strokeWidth="2" />
      <g className="knots">
        <circle cx="8" cy="15" r="2.4" />
        <circle cx="8" cy="21.5" r="2.4" />
        <circle cx="16" cy="13" r="2.4" />
        <circle cx="16" cy="23" r="2.4" />
        <circle cx="24" cy="16.5" r="2.4" />
      </g>
    </svg>
  );
}
